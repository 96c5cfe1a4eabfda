//! Pages that the guest shares with the hypervisor.

use crate::{Gfn, SecureVm};

/// The hypervisor's side of sharing. Only the guest can share or unshare; the hypervisor can ask, and can take its
/// own memory away.
pub trait SharePages: SecureVm {
    /// Whether the guest shares the page now, so that the hypervisor may use its normal memory.
    ///
    /// # Errors
    /// `InvalidArgument` for a page in no memory slot.
    fn is_shared(&self, gfn: Gfn) -> Result<bool, Self::Error>;

    /// Takes the normal memory away from a shared page: [`Shared`](crate::PageState::Shared) becomes
    /// [`Withdrawn`](crate::PageState::Withdrawn), and the guest faults at its next access until
    /// [`PageIn`](crate::PageIn) brings the page back. The content stays in the normal page. A withdrawn page stays so.
    ///
    /// # Errors
    /// `WrongState` when the page is not shared; the page is as before.
    fn withdraw(&self, gfn: Gfn) -> Result<(), Self::Error>;
}
