//! Running a virtual CPU: one shape for intercepts (IBM Z) and reflected exceptions (POWER).

use crate::{ErrorType, Gfn};

/// What a guest access wanted to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
pub enum Exit<A> {
    /// The guest needs a page that is not in secure memory (IBM Z: non-secure storage access 0x3e; POWER:
    /// `H_SVM_PAGE_IN`). Page it in and run again; the access is repeated.
    PageMissing {
        /// The page.
        gfn: Gfn,
        /// What the guest wanted, where the machine tells.
        access: Access,
    },
    /// The guest is done: it waits with nothing to wait for, or its script has ended.
    Halted,
    /// Anything else, in the machine's own words.
    Arch(A),
}

/// A virtual CPU of a secure VM.
///
/// ```text
/// run ──▶ Exit ──serve──▶ run ──▶ Exit … ──▶ Halted
/// ```
/// One thread runs a virtual CPU at a time (`&mut self`); several virtual CPUs of one VM run at the same time.
pub trait Vcpu: ErrorType {
    /// The exits that only this machine has.
    type Arch;

    /// Runs the guest until the hypervisor has to act. Serving the exit and calling again resumes the guest where it was.
    /// Running after [`Exit::Halted`] gives [`Exit::Halted`] again.
    ///
    /// # Errors
    /// `WrongState` when the machine refuses to enter the guest (IBM Z: validity interception); `Fatal` when the guest is lost.
    fn run(&mut self) -> Result<Exit<Self::Arch>, Self::Error>;
}
