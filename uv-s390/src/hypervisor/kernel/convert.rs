//! Single pages: import, export, destroy, pin.

use uv_core::{Gfn, HostAddr};

use super::gmap::PageFlags;
use super::{HostError, Vm};
use crate::abi::uvc::{self, Block, CallError, Cc, Retries, UvRc, UvRrc};
use crate::abi::uvcb::{ConvertFrom, ConvertTo, Features, UvCommand};

/// Whether a call that makes a page secure is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    /// Done.
    Done,
    /// Busy or partially done, or the page was just faulted in: call again.
    Again,
}

/// What a page is no more when it is imported.
pub(super) const NOT_IMPORTED: PageFlags = PageFlags::EXPORTED.union(PageFlags::WITHDRAWN).union(PageFlags::LEFTOVER);

/// How often a page fault tries again before it gives the CPU back to its caller.
const FAULT_TRIES: u32 = 1 << 16;

impl Vm {
    /// Issues a call that makes `gfn` secure, once (s390-ultravisor §4.5).
    ///
    /// Without the "misc" feature and with more than one protected VM in this process, the frame is exported first, so that a page
    /// that another guest shared is not refused; how that ends does not matter. cc 2 and 3 are the caller's to retry. "Not mapped"
    /// faults the page in. Every other refusal is one.
    pub(super) fn make_secure<T: Block>(&self, gfn: Gfn, block: &mut T) -> Result<Retry, HostError> {
        let command = block.header().command();
        let frame = self.frame(gfn).map_err(|_| HostError::Fault(gfn))?;
        let alone = self.host.features().contains(Features::MISC) || self.process.protected_count() <= 1;
        if !alone && command != UvCommand::UNPIN_PAGE_SHARED {
            let _ = self.host.export_frame(frame);
        }
        match uvc::call(&self.host.hardware.uvc, block, Retries::NONE) {
            Ok(()) => Ok(Retry::Done),
            Err(CallError::Refused(refused)) if matches!(refused.cc, Cc::Busy | Cc::Partial) => Ok(Retry::Again),
            Err(CallError::Refused(refused)) if refused.rc == UvRc::NOT_MAPPED => {
                if self.gmap.fault_in(gfn) {
                    Ok(Retry::Again)
                } else {
                    Err(HostError::Fault(gfn))
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Imports a page (CONV_TO_SEC_STOR), with retries. Every refusal ends it: of a page that is secure already, because another
    /// vCPU was faster, the Ultravisor says that it is done.
    pub(super) fn import(&self, gfn: Gfn) -> Result<(), HostError> {
        // Held to the end: whoever ends the configuration finds the page told as what it is.
        let conf = self.conf.read();
        let handle = conf.as_ref().ok_or(HostError::NotProtected)?.handle;
        let _page = self.gmap.hold(gfn);
        let address = self.slots().page_size().addr(gfn).0;
        for _ in 0..FAULT_TRIES {
            let mut block = ConvertTo::new(UvCommand::CONV_TO_SEC_STOR, handle, address);
            if self.make_secure(gfn, &mut block)? == Retry::Done {
                self.gmap.change(gfn, PageFlags::IMPORTED, NOT_IMPORTED);
                return Ok(());
            }
        }
        Err(HostError::Stopped)
    }

    /// Exports a page: the frame holds ciphertext afterwards, or what the guest shared. Does nothing to a page that is not
    /// secure-owned.
    pub(super) fn export(&self, gfn: Gfn) -> Result<(), HostError> {
        let _page = self.gmap.hold(gfn);
        self.export_held(gfn)
    }

    fn export_held(&self, gfn: Gfn) -> Result<(), HostError> {
        let frame = self.frame(gfn)?;
        let shared = self.host.hardware.memory.check(frame, 0x1000).is_ok();
        self.host.export_frame(frame)?;
        if self.gmap.flags(gfn).contains(PageFlags::IMPORTED) {
            let set = if shared { PageFlags::EXPORTED | PageFlags::WITHDRAWN } else { PageFlags::EXPORTED };
            self.gmap.change(gfn, set, PageFlags::IMPORTED);
        }
        self.gmap.change(gfn, PageFlags::empty(), PageFlags::LEFTOVER);
        Ok(())
    }

    /// Destroys a page: the frame is zero and accessible afterwards.
    pub(super) fn destroy(&self, gfn: Gfn) -> Result<(), HostError> {
        let _page = self.gmap.hold(gfn);
        self.destroy_held(gfn)
    }

    fn destroy_held(&self, gfn: Gfn) -> Result<(), HostError> {
        self.host.destroy_frame(self.frame(gfn)?)?;
        self.gmap.split(gfn);
        self.gmap.change(gfn, PageFlags::empty(), PageFlags::CONTENT | PageFlags::LEFTOVER);
        Ok(())
    }

    /// Destroys a page, or exports it where it cannot be destroyed: either way the host can reach the frame.
    pub(super) fn destroy_or_export(&self, gfn: Gfn) -> Result<(), HostError> {
        self.destroy_if(gfn, PageFlags::empty())
    }

    /// Frees a frame that was found to belong elsewhere. Another thread may have been faster, and the page be the guest's own
    /// by now: then nothing of it may be lost, so it is exported.
    pub(super) fn free_foreign(&self, gfn: Gfn) -> Result<(), HostError> {
        let _page = self.gmap.hold(gfn);
        if self.gmap.flags(gfn).contains(PageFlags::IMPORTED) {
            return self.export_held(gfn);
        }
        self.destroy_held(gfn).or_else(|_| self.export_held(gfn))
    }

    /// As [`Vm::destroy_or_export`], but leaves a page alone that has not all these flags when nobody moves it.
    pub(super) fn destroy_if(&self, gfn: Gfn, flags: PageFlags) -> Result<(), HostError> {
        let _page = self.gmap.hold(gfn);
        if !self.gmap.flags(gfn).contains(flags) {
            return Ok(());
        }
        self.destroy_held(gfn).or_else(|_| self.export_held(gfn))
    }

    /// Pins a shared page, so that the guest cannot unshare it while the host uses it (for device emulation). Undone with
    /// [`Vm::unpin`].
    ///
    /// # Errors
    /// [`HostError::Call`] of PIN_PAGE_SHARED when the page is not shared.
    pub fn pin(&self, gfn: Gfn) -> Result<(), HostError> {
        let frame = self.frame(gfn)?;
        Ok(self.host.call(&mut ConvertFrom::new(UvCommand::PIN_PAGE_SHARED, frame.0))?)
    }

    /// Undoes [`Vm::pin`]; the guest may unshare the page again. Tried once.
    ///
    /// # Errors
    /// [`HostError::Again`] when the Ultravisor is busy, or the page was not mapped and is now; [`HostError::NotProtected`],
    /// [`HostError::Fault`], [`HostError::Call`] of UNPIN_PAGE_SHARED.
    pub fn unpin(&self, gfn: Gfn) -> Result<(), HostError> {
        let handle = self.handle()?;
        let address = self.slots().page_size().addr(gfn).0;
        let mut block = ConvertTo::new(UvCommand::UNPIN_PAGE_SHARED, handle, address);
        match self.make_secure(gfn, &mut block)? {
            Retry::Done => Ok(()),
            Retry::Again => Err(HostError::Again),
        }
    }
}

impl super::Host {
    /// CONV_FROM_SEC_STOR. Exporting a page that is not secure is success, also many times.
    pub(super) fn export_frame(&self, frame: HostAddr) -> Result<(), HostError> {
        Ok(self.call(&mut ConvertFrom::new(UvCommand::CONV_FROM_SEC_STOR, frame.0))?)
    }

    /// DESTR_SEC_STOR. Older firmware refuses a page that is not secure (0107/000d); that is success too.
    pub(super) fn destroy_frame(&self, frame: HostAddr) -> Result<(), HostError> {
        match self.call(&mut ConvertFrom::new(UvCommand::DESTR_SEC_STOR, frame.0)) {
            Err(CallError::Refused(refused)) if (refused.rc, refused.rrc) == (UvRc::NOT_SECURE, UvRrc::NOT_SECURE) => {
                Ok(())
            }
            done => Ok(done?),
        }
    }

    /// What the kernel does when it or a process touches a secure page (program interruption 0x3d): the page is pinned if it
    /// is shared, or else exported. The answer says whether it was pinned.
    ///
    /// # Errors
    /// [`HostError::Call`] of CONV_FROM_SEC_STOR: the page belongs to the Ultravisor and cannot be had.
    pub fn secure_storage_access(&self, frame: HostAddr) -> Result<bool, HostError> {
        let frame = HostAddr(frame.0 & !0xfff);
        match self.call(&mut ConvertFrom::new(UvCommand::PIN_PAGE_SHARED, frame.0)) {
            Ok(()) => Ok(true),
            Err(_) => self.export_frame(frame).map(|()| false),
        }
    }
}
