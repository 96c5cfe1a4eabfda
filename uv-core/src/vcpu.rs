//! Running a virtual CPU: one shape for intercepts (IBM Z) and reflected exceptions (POWER).

use crate::{ErrorType, Gfn, PageRange};

/// What a guest access wanted to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Access {
    /// A load.
    Load,
    /// A store.
    Store,
    /// An instruction fetch.
    Fetch,
}

/// Why a virtual CPU stopped running and gave control to the hypervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit<A> {
    /// The guest needs a page that is not in secure memory (IBM Z: non-secure storage access 0x3e; POWER:
    /// `H_SVM_PAGE_IN`). Page it in and run again; the access is repeated.
    PageMissing {
        /// The page.
        gfn: Gfn,
        /// What the guest wanted, where the machine tells.
        access: Access,
    },
    /// The guest of a normal VM asks to become secure (IBM Z: DIAG 308 subcode 10; POWER: `H_SVM_INIT_START`, behind the
    /// guest's `UV_ESM`). Call [`EnterSecureMode::enter_secure_mode`](crate::EnterSecureMode::enter_secure_mode) with this
    /// virtual CPU. Running it without that refuses: the guest is told so and goes on as a normal one.
    EnterSecureMode,
    /// The ultravisor gave up after the hypervisor had done its part of entering. The VM is
    /// [`VmState::Aborted`](crate::VmState::Aborted): [terminate](crate::SecureVm::terminate) it; run again, the guest goes on as
    /// a normal one and is told. POWER: `H_SVM_INIT_ABORT` after `H_SVM_INIT_DONE`.
    EnterAborted,
    /// The guest asks for pages to be shared or taken back, on a machine where it cannot do so alone. Call
    /// [`AcceptSharing::accept_sharing`](crate::AcceptSharing::accept_sharing); running again without that refuses. Only a VM
    /// whose [`SecureVm::as_accept_sharing`](crate::SecureVm::as_accept_sharing) is something has this exit.
    ShareRequest {
        /// The pages.
        pages: PageRange,
        /// Share them (`true`), or take them back.
        share: bool,
    },
    /// The guest waits, and nothing that is pending ends its wait (IBM Z: wait state; POWER: `H_CEDE`; a scripted guest at its
    /// end waits forever).
    Halted,
    /// Anything else, in the machine's own words.
    Arch(A),
}

/// A virtual CPU.
///
/// ```text
/// run ──▶ Exit ──serve──▶ run ──▶ Exit … ──▶ Halted ──▶ run …
/// ```
/// One thread runs a virtual CPU at a time (`&mut self`); several virtual CPUs of one VM run at the same time.
pub trait Vcpu: ErrorType {
    /// The exits that only this machine has.
    type Arch;

    /// Runs the guest until the hypervisor has to act. Serving the exit and calling again resumes the guest where it was.
    ///
    /// Running after [`Exit::Halted`] is success: the guest goes on when its wait has ended, and otherwise the exit is
    /// [`Exit::Halted`] again.
    ///
    /// # Errors
    /// `Busy` when the thread was stopped before the guest was entered (a signal): run again. `WrongState` when the machine refuses to enter the guest (IBM Z: validity interception); `Fatal` when the guest is lost.
    fn run(&mut self) -> Result<Exit<Self::Arch>, Self::Error>;
}

impl<C: Vcpu + ?Sized> Vcpu for &mut C {
    type Arch = C::Arch;

    fn run(&mut self) -> Result<Exit<Self::Arch>, Self::Error> {
        (**self).run()
    }
}
