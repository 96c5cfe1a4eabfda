//! Bringing the image in: SE header, pages, verification.

use core::sync::atomic::Ordering;

use uv_core::{Gfn, GuestAddr, HostAddr, check_aligned};

use super::convert::{NOT_IMPORTED, Retry};
use super::gmap::PageFlags;
use super::{HostError, Vm};
use crate::abi::uvcb::{NoData, SetParams, Unpack, UvCommand};

impl Vm {
    /// KVM_PV_SET_SEC_PARMS: gives the SE header to the Ultravisor through a buffer of the kernel's.
    ///
    /// # Errors
    /// [`HostError::NotProtected`], [`HostError::NoStorage`], [`HostError::Call`] of SET_SEC_CONF_PARAMS (the codes of
    /// s390-ultravisor §1.7). The VM stays protected, without an image.
    pub fn set_parameters(&self, header: &[u8]) -> Result<(), HostError> {
        let _lock = self.lock.lock();
        let handle = self.handle()?;
        let len = u32::try_from(header.len()).map_err(|_| HostError::NoStorage(u64::MAX))?;
        let buffer = self.host.allocate_zeroed(len.into(), 0x1000)?;
        let origin = buffer.origin();
        let result = self
            .host
            .hardware
            .memory
            .write(origin, header)
            .map_err(HostError::from)
            .and_then(|()| Ok(self.host.call(&mut SetParams::new(handle, origin.0, len))?));
        self.host.pages.free(buffer);
        result
    }

    /// KVM_PV_UNPACK: hands `len` bytes of image from guest address `address` on to the Ultravisor, page by page, with the tweak
    /// (`prefix`, byte offset). A page that is not mapped is faulted in and the call is made again; a busy one is
    /// tried again until `go_on` says no (asked before each new try).
    ///
    /// After an error the pages before are unpacked (their ciphertext is gone), the others are as before.
    ///
    /// # Errors
    /// [`HostError::NotProtected`]; [`HostError::Argument`] unless address and length are page multiples and the length is not
    /// 0; [`HostError::Fault`]; [`HostError::Call`] of UNPACK_IMG; [`HostError::Stopped`].
    pub fn unpack(
        &self,
        address: GuestAddr,
        len: u64,
        prefix: u64,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<(), HostError> {
        let _lock = self.lock.lock();
        let handle = self.handle()?;
        let size = self.slots().page_size();
        check_aligned(size, address.0)?;
        check_aligned(size, len)?;
        if len == 0 {
            return Err(uv_core::ArgumentError::Unaligned(0).into());
        }
        let first = size.gfn(address);
        let mut page = 0;
        while page < size.pages_for(len) {
            let gfn = first.add(page);
            match self.unpack_page(handle, gfn, prefix, page << size.shift())? {
                Retry::Done => {
                    page += 1;
                    self.unpacked.fetch_add(1, Ordering::Relaxed);
                }
                Retry::Again if go_on() => {}
                Retry::Again => return Err(HostError::Stopped),
            }
        }
        Ok(())
    }

    fn unpack_page(&self, handle: u64, gfn: Gfn, prefix: u64, offset: u64) -> Result<Retry, HostError> {
        let _page = self.gmap.hold(gfn);
        let mut block = Unpack::new(handle, self.slots().page_size().addr(gfn).0, prefix, offset);
        let done = self.make_secure(gfn, &mut block)?;
        if done == Retry::Done {
            self.gmap.change(gfn, PageFlags::IMPORTED, NOT_IMPORTED);
        }
        Ok(done)
    }

    /// KVM_PV_VERIFY: lets the Ultravisor compare the unpacked image with the header.
    ///
    /// # Errors
    /// [`HostError::NotProtected`]; [`HostError::Call`] of VERIFY_IMG (0x0102 with the digest that differs).
    pub fn verify(&self) -> Result<(), HostError> {
        let _lock = self.lock.lock();
        let handle = self.handle()?;
        self.host.call(&mut NoData::new(UvCommand::VERIFY_IMG, handle))?;
        self.verified.store(true, Ordering::Release);
        Ok(())
    }

    /// Host frame of a guest page.
    pub(super) fn frame(&self, gfn: Gfn) -> Result<HostAddr, HostError> {
        self.gmap.frame(gfn).ok_or(HostError::Argument(uv_core::ArgumentError::NoSlot(gfn)))
    }
}
