//! Moving pages between secure and normal memory.
//!
//! The normal memory of a page is the one its memory slot names. All calls take `&self` and may come from many
//! threads; two calls on one page at the same time leave the page as if they came one after the other, or one of them
//! gets `Busy`. The range forms are the fast ones: page ciphers work on several pages side by side.

use crate::{ErrorType, Gfn, PageRange, RangeError, SecureVm};

/// Gives pages to the guest.
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
    /// bytes are still taken later. `Exhausted` without a free secure frame. `Busy`, `InvalidArgument`, `WrongState`.
    fn page_in_range(&self, range: PageRange) -> Result<(), RangeError<Self::Error>>;

    /// [`PageIn::page_in_range`] for one page.
    ///
    /// # Errors
    /// As for the range.
    fn page_in(&self, gfn: Gfn) -> Result<(), Self::Error> {
        self.page_in_range(gfn.into()).map_err(|e| e.error)
    }
}

/// Takes pages away from the guest.
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

/// Gives up pages without keeping their content. IBM Z has it, POWER has not.
pub trait DestroyPages: ErrorType {
    /// Every page of the range becomes [`Absent`](crate::PageState::Absent): its content is wiped and forgotten, its
    /// normal page reads as zeros. The guest finds zeros there if it lives on.
    ///
    /// # Errors
    /// `Busy`, `InvalidArgument`.
    fn destroy_range(&self, range: PageRange) -> Result<(), RangeError<Self::Error>>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ArgumentError, PageSize, PageState, VmState};

    /// Page 5 is the only one.
    struct PageFive;

    const FIVE: PageRange = PageRange::new(Gfn(5), 1);

    impl ErrorType for PageFive {
        type Error = ArgumentError;
    }

    impl SecureVm for PageFive {
        fn page_size(&self) -> PageSize {
            PageSize::K4
        }

        fn vm_state(&self) -> VmState {
            VmState::Secure
        }

        fn page_state(&self, _: Gfn) -> Result<PageState, ArgumentError> {
            Ok(PageState::Secure)
        }

        fn terminate(&self) -> Result<(), ArgumentError> {
            Ok(())
        }
    }

    fn only_five(range: PageRange) -> Result<(), RangeError<ArgumentError>> {
        if range == FIVE { Ok(()) } else { Err(RangeError { done: 0, error: ArgumentError::NoSlot(range.first) }) }
    }

    impl PageIn for PageFive {
        fn page_in_range(&self, range: PageRange) -> Result<(), RangeError<ArgumentError>> {
            only_five(range)
        }
    }

    impl PageOut for PageFive {
        fn page_out_range(&self, range: PageRange) -> Result<(), RangeError<ArgumentError>> {
            only_five(range)
        }
    }

    #[test]
    fn one_page_is_a_range_of_one() {
        let six = Err(ArgumentError::NoSlot(Gfn(6)));
        assert_eq!((PageFive.page_in(Gfn(5)), PageFive.page_in(Gfn(6))), (Ok(()), six));
        assert_eq!((PageFive.page_out(Gfn(5)), PageFive.page_out(Gfn(6))), (Ok(()), six));
        assert!(PageFive.destroy_pages().is_none(), "unless a machine has it");
    }
}
