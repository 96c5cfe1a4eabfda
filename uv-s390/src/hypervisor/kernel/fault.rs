//! Program interruptions around secure storage, as the kernel serves them (s390-ultravisor §4.3).

use uv_core::{AccessError, Gfn, GuestAddr, HostAddr, PageSize};

use super::gmap::PageFlags;
use super::{HostError, Vm};
use crate::abi::uvc::{PgmCode, ProgramInterruption};

/// How often an access of the host meets a secure page before it is given up.
const ACCESS_TRIES: u32 = 1 << 20;

/// What the kernel did about an interruption that ended SIE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Served {
    /// The guest needs this page imported (0x3e): whoever runs the CPU does it.
    Missing(Gfn),
    /// There is no storage at the address: the guest is to have an addressing exception.
    Addressing(Gfn),
    /// The cause is gone: enter again.
    Again,
}

impl Vm {
    /// Serves an interruption that the host took while in SIE.
    ///
    /// A page that is not mapped is faulted in; 0x3e is handed on; a large frame that is none any more (0x3c) is mapped page by
    /// page; 0x3f and a leftover 0x3d destroy the page (or export
    /// it) and enter again; an address that is not reliable (TEID bit 61 off on a machine that has the bit) cannot be
    /// served. An ordinary guest meets 0x11, for which any memory does, and 0x3d from what another configuration left behind.
    /// An address without memory is an addressing exception of the guest.
    pub(super) fn serve(&self, protected: bool, interruption: ProgramInterruption) -> Result<Served, HostError> {
        let unserved = HostError::Interruption(interruption);
        let teid = interruption.teid.ok_or(unserved)?;
        let gfn = PageSize::K4.gfn(GuestAddr(teid.page()));
        match interruption.code {
            PgmCode::PAGE_TRANSLATION if self.gmap.frame(gfn).is_none() => Ok(Served::Addressing(gfn)),
            PgmCode::PAGE_TRANSLATION => {
                let mapped = if protected { self.gmap.fault_in(gfn) } else { self.gmap.map(gfn) };
                if mapped { Ok(Served::Again) } else { Err(HostError::Fault(gfn)) }
            }
            PgmCode::NON_SECURE_STORAGE_ACCESS => Ok(Served::Missing(gfn)),
            // A page of the large frame was exported: page by page it goes on.
            PgmCode::SECURE_PAGE_SIZE if self.gmap.is_huge() => Err(HostError::Fault(gfn)),
            PgmCode::SECURE_PAGE_SIZE => {
                self.gmap.split(gfn);
                Ok(Served::Again)
            }
            PgmCode::SECURE_STORAGE_VIOLATION | PgmCode::SECURE_STORAGE_ACCESS => {
                if self.host.features().contains(crate::abi::uvcb::Features::MISC) && !teid.is_reliable() {
                    return Err(unserved);
                }
                self.free_foreign(gfn)?;
                Ok(Served::Again)
            }
            _ => Err(unserved),
        }
    }

    /// Imports a page that the guest misses.
    ///
    /// # Errors
    /// Those of [`PageIn`](uv_core::PageIn).
    pub fn serve_missing(&self, gfn: Gfn) -> Result<(), HostError> {
        self.import(gfn)
    }

    /// Reads guest storage as a device model or a debugger does: pages that are secure are converted first, so that
    /// shared pages give what the guest put there and all others give ciphertext.
    ///
    /// # Errors
    /// [`HostError::Access`] for addresses without memory, [`HostError::Call`] when a page cannot be converted.
    pub fn host_read(&self, at: GuestAddr, into: &mut [u8]) -> Result<(), HostError> {
        // Page by page: a page that has to be converted then does not make those before it be read again.
        let mut at = at;
        let mut rest = into;
        while !rest.is_empty() {
            let in_page = 0x1000 - usize::try_from(at.0 & 0xfff).unwrap_or(0);
            let (part, behind) = rest.split_at_mut(in_page.min(rest.len()));
            self.converting(|| self.storage().read(at, part))?;
            at = GuestAddr(at.0.wrapping_add(part.len() as u64));
            rest = behind;
        }
        Ok(())
    }

    /// Writes guest storage, as [`Vm::host_read`] reads it. What is written over the ciphertext of an exported page makes
    /// that page unusable for the guest: its next import fails.
    ///
    /// # Errors
    /// As [`Vm::host_read`].
    pub fn host_write(&self, at: GuestAddr, from: &[u8]) -> Result<(), HostError> {
        self.converting(|| self.storage().write(at, from))
    }

    /// Repeats an access until it meets no secure page any more.
    fn converting(&self, mut access: impl FnMut() -> Result<(), AccessError>) -> Result<(), HostError> {
        // A page that a vCPU brings back in between is converted again.
        for _ in 0..ACCESS_TRIES {
            match access() {
                Err(AccessError::Secure { at }) => self.secure_storage_access(at)?,
                done => return Ok(done?),
            }
        }
        Ok(access()?)
    }

    fn secure_storage_access(&self, at: HostAddr) -> Result<(), HostError> {
        let _page = self.gmap.page_at(at).map(|gfn| self.gmap.hold(gfn));
        let pinned = self.host.secure_storage_access(at)?;
        if let Some(gfn) = self.gmap.page_at(at).filter(|_| !pinned) {
            let was_ours = self.gmap.flags(gfn).contains(PageFlags::IMPORTED);
            let set = if was_ours { PageFlags::EXPORTED } else { PageFlags::empty() };
            self.gmap.change(gfn, set, PageFlags::IMPORTED | PageFlags::LEFTOVER);
        }
        Ok(())
    }
}
