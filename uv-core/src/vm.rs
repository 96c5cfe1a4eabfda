//! A secure VM as its hypervisor knows it.

use crate::{
    AcceptSharing, DestroyPages, ErrorType, Gfn, MemSlots, PageCounts, PageOut, PageSize, PageState, SharePages, Vcpu,
    VmState,
};

/// A VM that an ultravisor protects, or may protect, from the hypervisor that holds this value.
///
/// Who calls: the hypervisor, from any thread. A value of this type never gives access to secure plaintext. What is done to one VM
/// changes no other.
///
/// The methods named `as_` lead to abilities that not every machine has. None of them has a default body, so that a wrapper
/// around a VM cannot forget one; each answers the same for as long as the VM lives.
pub trait SecureVm: ErrorType + Send + Sync {
    /// The page size of every page operation of this VM.
    fn page_size(&self) -> PageSize;

    /// The memory slots as they are now. Entering and ending secure mode do not change them.
    fn mem_slots(&self) -> MemSlots;

    /// Where the VM stands.
    fn vm_state(&self) -> VmState;

    /// What stands behind a page, as far as the hypervisor can know it.
    ///
    /// # Errors
    /// `InvalidArgument` for a page in no memory slot.
    fn page_state(&self, gfn: Gfn) -> Result<PageState, Self::Error>;

    /// How many pages of the memory slots stand in each state.
    ///
    /// # Errors
    /// As [`SecureVm::page_state`].
    fn page_counts(&self) -> Result<PageCounts, Self::Error>;

    /// Ends secure mode. The ultravisor wipes and frees every secure frame and forgets the VM's keys; the
    /// hypervisor's memory stays its own, sealed pages in it are noise from now on. The VM is
    /// [`VmState::Normal`] afterwards. Ending a normal VM is success.
    ///
    /// # Errors
    /// `Busy` while a virtual CPU runs; on any error the VM is as before and the call can be made again.
    fn terminate(&self) -> Result<(), Self::Error>;

    /// The ability to take pages away sealed.
    fn as_page_out(&self) -> Option<&dyn PageOut<Error = Self::Error>>;

    /// The ability to take the normal memory of shared pages away.
    fn as_share_pages(&self) -> Option<&dyn SharePages<Error = Self::Error>>;

    /// The ability to serve a guest that cannot share alone.
    fn as_accept_sharing(&self) -> Option<&dyn AcceptSharing<Error = Self::Error>>;

    /// The ability to give up single pages without sealing them.
    fn as_destroy_pages(&self) -> Option<&dyn DestroyPages<Error = Self::Error>>;
}

/// The way into secure mode.
///
/// The guest asks ([`Exit::EnterSecureMode`](crate::Exit::EnterSecureMode)), the hypervisor does its part, the ultravisor
/// decides. What the guest asks with, in its machine's own form (IBM Z: the IPL parameter block; POWER: the device tree), is
/// between the virtual CPU and the machine.
pub trait EnterSecureMode: SecureVm {
    /// The virtual CPU that asks.
    type Cpu: Vcpu<Error = Self::Error>;
    /// What the machine reports of the way in.
    type Entry;

    /// Takes the VM from [`VmState::Normal`] to [`VmState::Secure`], as the virtual CPU's last exit asked for. Returns before
    /// the guest runs on: its first instruction as a secure guest is executed by the next [`Vcpu::run`].
    ///
    /// After any error but `WrongState` and `Busy` the ultravisor knows nothing of the VM any more ([`VmState::Normal`]), all memory given
    /// to it has come back, and the guest is told in the way its machine tells it when it runs on; it may ask again. Guest memory
    /// that was taken over already may be lost to the guest.
    ///
    /// # Errors
    /// `WrongState` when the VM is not normal, or the last exit of the virtual CPU did not ask, or asked for another VM: nothing
    /// was done. `Busy`: nothing was done, and the call can be made again. `Integrity` when the image or blob is not what was signed, `InvalidArgument`, `Exhausted`;
    /// `Permission` when it was made for another machine.
    fn enter_secure_mode(&self, cpu: &mut Self::Cpu) -> Result<Self::Entry, Self::Error>;
}
