//! Moving pages between secure and normal memory.
//!
//! The normal memory of a page is the one its memory slot names. All calls take `&self` and may come from many
//! threads; two calls on one page at the same time leave the page as if they came one after the other, or one of them
//! gets `Busy`. The range forms are the fast ones: page ciphers work on several pages side by side.

use crate::{Gfn, PageRange, RangeError, SecureVm};

/// Gives pages to the guest. The range does what its pages one by one do. A range with a page in no memory slot is refused before its
/// first page.
pub trait PageIn: SecureVm {
    /// Takes every page of the range into secure memory.
    ///
    /// Per page: [`Absent`](crate::PageState::Absent) becomes a secure page of zeros, whatever the normal page holds;
    /// [`Sealed`](crate::PageState::Sealed) is opened and checked: only the newest version of this page of this VM is
    /// taken; [`Withdrawn`](crate::PageState::Withdrawn) is shared again through the normal page; a page that is secure
    /// or shared already is left as it is, and that is success.
    ///
    /// # Errors
    /// `Integrity` when the normal page does not hold the newest sealed version: the page stays sealed and the right
    /// bytes are still taken later. `Exhausted` without a free secure frame. `WrongState` in a VM that is not secure. `Busy`, `InvalidArgument`.
    fn page_in_range(&self, range: PageRange) -> Result<(), RangeError<Self::Error>>;

    /// [`PageIn::page_in_range`] for one page.
    ///
    /// # Errors
    /// As for the range.
    fn page_in(&self, gfn: Gfn) -> Result<(), Self::Error> {
        self.page_in_range(gfn.into()).map_err(|e| e.error)
    }
}

/// Takes pages away from the guest and keeps them sealed: an ability ([`SecureVm::as_page_out`]). IBM Z and POWER have it, Arm
/// CCA has not.
///
/// No two sealed pages of one content are alike, and no two have a key stream in common: not those of two pages, of two versions of a
/// page, of two VMs or of two lives of one VM.
pub trait PageOut: SecureVm {
    /// Seals every secure page of the range into its normal page and frees the frame.
    ///
    /// Per page: [`Secure`](crate::PageState::Secure) becomes [`Sealed`](crate::PageState::Sealed), the normal page
    /// holds ciphertext; any other page is left as it is, and that is success.
    ///
    /// # Errors
    /// `Busy`, `InvalidArgument`, `WrongState`. The page in question is still secure and complete.
    fn page_out_range(&self, range: PageRange) -> Result<(), RangeError<Self::Error>>;

    /// [`PageOut::page_out_range`] for one page.
    ///
    /// # Errors
    /// As for the range.
    fn page_out(&self, gfn: Gfn) -> Result<(), Self::Error> {
        self.page_out_range(gfn.into()).map_err(|e| e.error)
    }
}

/// Gives up pages without keeping their content: an ability ([`SecureVm::as_destroy_pages`]). IBM Z has it, POWER has not.
pub trait DestroyPages: SecureVm {
    /// Every page of the range becomes [`Absent`](crate::PageState::Absent): its content is wiped and forgotten, its
    /// normal page reads as zeros. The guest finds zeros there if it lives on.
    ///
    /// # Errors
    /// `Busy`, `InvalidArgument`, `WrongState`.
    fn destroy_range(&self, range: PageRange) -> Result<(), RangeError<Self::Error>>;
}
