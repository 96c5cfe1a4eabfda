//! The traits of `uv-core` on a VM. The way into secure mode is the VMM's
//! ([`VmmVm`](crate::hypervisor::vmm::VmmVm)).

use core::sync::atomic::Ordering;

use uv_core::{
    AcceptSharing, AccessError, DestroyPages, ErrorType, Gfn, MemSlots, PageCounts, PageIn, PageOut, PageRange,
    PageSize, PageState, RangeError, SecureVm, SharePages, VmState, check_in_slots,
};

use super::gmap::PageFlags;
use super::{HostError, Vm};

impl ErrorType for Vm {
    type Error = HostError;
}

impl Vm {
    /// Does `act` for every page of a range in slots of a protected VM, stopping at the first error.
    fn each(
        &self,
        range: PageRange,
        mut act: impl FnMut(Gfn) -> Result<(), HostError>,
    ) -> Result<(), RangeError<HostError>> {
        let fail = |error| RangeError { done: 0, error };
        check_in_slots(&self.slots(), range).map_err(|error| fail(error.into()))?;
        if !self.is_protected() {
            return Err(fail(HostError::NotProtected));
        }
        for (done, gfn) in (0..).zip(range.iter()) {
            act(gfn).map_err(|error| RangeError { done, error })?;
        }
        Ok(())
    }
}

impl SecureVm for Vm {
    fn page_size(&self) -> PageSize {
        PageSize::K4
    }

    fn mem_slots(&self) -> MemSlots {
        (*self.slots()).clone()
    }

    /// `Entering` from CREATE_SEC_CONF on, `Secure` from VERIFY_IMG on.
    fn vm_state(&self) -> VmState {
        match () {
            () if !self.is_protected() => VmState::Normal,
            () if self.verified.load(Ordering::Acquire) => VmState::Secure,
            () => VmState::Entering,
        }
    }

    /// What the kernel knows: whether it can reach the frame, and whether it imported or exported the page last.
    fn page_state(&self, gfn: Gfn) -> Result<PageState, HostError> {
        check_in_slots(&self.slots(), gfn.into())?;
        // While a page moves, what the Ultravisor did and what the kernel noted differ.
        let _page = self.gmap.hold(gfn);
        let frame = self.frame(gfn)?;
        match self.host.hardware.memory.check(frame, 0x1000) {
            Err(AccessError::Secure { .. }) => return Ok(PageState::Secure),
            other => other?,
        }
        let flags = self.gmap.flags(gfn);
        Ok(match () {
            () if !self.is_protected() => PageState::Absent,
            () if flags.contains(PageFlags::WITHDRAWN) => PageState::Withdrawn,
            () if flags.contains(PageFlags::EXPORTED) => PageState::Sealed,
            () if flags.contains(PageFlags::IMPORTED) => PageState::Shared,
            () => PageState::Absent,
        })
    }

    fn page_counts(&self) -> Result<PageCounts, HostError> {
        PageCounts::of(self)
    }

    fn terminate(&self) -> Result<(), HostError> {
        if self.is_protected() { self.disable() } else { Ok(()) }
    }

    fn as_page_out(&self) -> Option<&dyn PageOut<Error = HostError>> {
        Some(self)
    }

    fn as_share_pages(&self) -> Option<&dyn SharePages<Error = HostError>> {
        Some(self)
    }

    /// The guest shares by a call of the Ultravisor's, which asks nobody.
    fn as_accept_sharing(&self) -> Option<&dyn AcceptSharing<Error = HostError>> {
        None
    }

    fn as_destroy_pages(&self) -> Option<&dyn DestroyPages<Error = HostError>> {
        Some(self)
    }
}

impl PageIn for Vm {
    /// CONV_TO_SEC_STOR for each page.
    fn page_in_range(&self, range: PageRange) -> Result<(), RangeError<HostError>> {
        self.each(range, |gfn| self.import(gfn))
    }
}

impl PageOut for Vm {
    /// CONV_FROM_SEC_STOR for each secure page.
    fn page_out_range(&self, range: PageRange) -> Result<(), RangeError<HostError>> {
        self.each(range, |gfn| match self.page_state(gfn)? {
            PageState::Secure => self.export(gfn),
            _ => Ok(()),
        })
    }
}

impl SharePages for Vm {
    fn is_shared(&self, gfn: Gfn) -> Result<bool, HostError> {
        Ok(self.page_state(gfn)? == PageState::Shared)
    }

    /// CONV_FROM_SEC_STOR of a shared page.
    fn withdraw(&self, gfn: Gfn) -> Result<(), HostError> {
        match self.page_state(gfn)? {
            PageState::Shared => self.export(gfn),
            PageState::Withdrawn => Ok(()),
            _ => Err(HostError::NotShared(gfn)),
        }
    }
}

impl DestroyPages for Vm {
    /// DESTR_SEC_STOR for each page. An exported page is imported first, since the call does nothing to a frame that is not
    /// secure and the Ultravisor would go on waiting for the ciphertext.
    fn destroy_range(&self, range: PageRange) -> Result<(), RangeError<HostError>> {
        self.each(range, |gfn| {
            if self.gmap.flags(gfn).contains(PageFlags::EXPORTED) {
                self.import(gfn)?;
            }
            self.destroy(gfn)
        })
    }
}
