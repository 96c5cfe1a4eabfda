//! Pages that the guest shares with the hypervisor.

use crate::{Gfn, PageRange, RangeError, SecureVm};

/// The hypervisor's side of sharing: an ability ([`SecureVm::as_share_pages`]). Only the guest can share or unshare; the
/// hypervisor can ask, and can take its own memory away.
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

/// Does what a guest asks for that cannot share alone: an ability ([`SecureVm::as_accept_sharing`]). Neither IBM Z nor POWER needs
/// it; on Arm CCA and RISC-V CoVE the host changes the mapping after the guest's request.
pub trait AcceptSharing: SecureVm {
    /// Does what [`Exit::ShareRequest`](crate::Exit::ShareRequest) asked for: the pages are shared, or private again. The guest
    /// is told at its next run.
    ///
    /// # Errors
    /// `WrongState` unless the guest has asked for exactly this; the pages are as before. `Busy`, `InvalidArgument`.
    fn accept_sharing(&self, pages: PageRange, share: bool) -> Result<(), RangeError<Self::Error>>;
}
