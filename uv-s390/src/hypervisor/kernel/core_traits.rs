//! The traits of `uv-core` on a VM.

use uv_core::{
    AccessError, DestroyPages, EnterSecureMode, ErrorType, Gfn, PageIn, PageOut, PageRange, PageSize, PageState,
    RangeError, SecureVm, SharePages, VmState, check_in_slots,
};

use super::gmap::PageFlags;
use super::{Guest, HostError};
use crate::hypervisor::vmm::ipl::{self, IplOptions, Started};

impl ErrorType for Guest {
    type Error = HostError;
}

impl Guest {
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

impl SecureVm for Guest {
    fn page_size(&self) -> PageSize {
        PageSize::K4
    }

    /// `Entering` cannot be told from `Secure` by the kernel: both have a configuration.
    fn vm_state(&self) -> VmState {
        if self.is_protected() { VmState::Secure } else { VmState::Normal }
    }

    /// What the kernel knows: whether it can reach the frame, and whether it imported or exported the page last.
    fn page_state(&self, gfn: Gfn) -> Result<PageState, HostError> {
        check_in_slots(&self.slots(), gfn.into())?;
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

    fn terminate(&self) -> Result<(), HostError> {
        if self.is_protected() { self.disable() } else { Ok(()) }
    }

    fn destroy_pages(&self) -> Option<&dyn DestroyPages<Error = HostError>> {
        Some(self)
    }
}

impl PageIn for Guest {
    /// CONV_TO_SEC_STOR for each page.
    fn page_in_range(&self, range: PageRange) -> Result<(), RangeError<HostError>> {
        self.each(range, |gfn| self.import(gfn))
    }
}

impl PageOut for Guest {
    /// CONV_FROM_SEC_STOR for each secure page.
    fn page_out_range(&self, range: PageRange) -> Result<(), RangeError<HostError>> {
        self.each(range, |gfn| match self.page_state(gfn)? {
            PageState::Secure => self.export(gfn),
            _ => Ok(()),
        })
    }
}

impl SharePages for Guest {
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

impl DestroyPages for Guest {
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

impl EnterSecureMode for Guest {
    /// The PV IPIB that the guest set with DIAG 308 subcode 8.
    type Request = [u8];
    type Entry = Started;

    /// QEMU's sequence behind DIAG 308 subcode 10, on the lowest CPU number. The response for the guest is in
    /// [`HostError::Start`].
    fn enter_secure_mode(&self, request: &[u8]) -> Result<Started, HostError> {
        // A protected guest cannot ask for it (subcode 10 is a specification exception there), and the resets would end it.
        if self.is_protected() {
            return Err(HostError::Protected);
        }
        let mut cpus = self.cpu_numbers();
        cpus.sort_unstable();
        let initiator = cpus.first().copied().unwrap_or(0);
        let options = IplOptions { initiator, others: cpus.split_off(1.min(cpus.len())), ..IplOptions::default() };
        Ok(ipl::start(self, &self.storage(), request, &options, &mut |_| {})?)
    }
}
