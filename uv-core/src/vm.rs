//! A secure VM as its hypervisor knows it.

use crate::{DestroyPages, ErrorType, Gfn, PageSize, PageState, VmState};

/// A VM that an ultravisor protects, or may protect, from the hypervisor that holds this value.
///
/// Who calls: the hypervisor, from any thread. A value of this type never gives access to secure plaintext.
pub trait SecureVm: ErrorType + Sync {
    /// The page size of every page operation of this VM.
    fn page_size(&self) -> PageSize;

    /// Where the VM stands.
    fn vm_state(&self) -> VmState;

    /// What stands behind a page, as far as the hypervisor can know it.
    ///
    /// # Errors
    /// `InvalidArgument` for a page in no memory slot.
    fn page_state(&self, gfn: Gfn) -> Result<PageState, Self::Error>;

    /// Ends secure mode. The ultravisor wipes and frees every secure frame and forgets the VM's keys; the
    /// hypervisor's memory stays its own, sealed pages in it are noise from now on. The VM is
    /// [`VmState::Normal`] afterwards. Ending a normal VM is success.
    ///
    /// # Errors
    /// `Busy` while a virtual CPU runs; on any error the VM is as before and the call can be made again.
    fn terminate(&self) -> Result<(), Self::Error>;

    /// The ability to give up single pages without sealing them, where the machine has it.
    fn destroy_pages(&self) -> Option<&dyn DestroyPages<Error = Self::Error>> {
        None
    }
}

/// The way into secure mode.
///
/// The request is what the guest asked for, in its machine's own form (IBM Z: the IPL parameter block of DIAG 308
/// subcode 8; POWER: the virtual CPU that issued `UV_ESM`). The hypervisor does its part of the sequence; the ultravisor decides.
pub trait EnterSecureMode: SecureVm {
    /// What the guest asked for.
    type Request: ?Sized;
    /// How the guest starts: start address and what else the machine reports.
    type Entry;

    /// Takes the VM from [`VmState::Normal`] to [`VmState::Secure`].
    ///
    /// After success the guest can be run. After any error the ultravisor knows nothing of the VM any more
    /// ([`VmState::Normal`]), all memory given to it has come back, and the guest has been told in the way its machine
    /// tells it; guest memory that was taken over already may be lost to the guest.
    ///
    /// # Errors
    /// `Integrity` when the image or blob is not what was signed, `InvalidArgument`, `WrongState`, `Exhausted`.
    fn enter_secure_mode(&self, request: &Self::Request) -> Result<Self::Entry, Self::Error>;
}
