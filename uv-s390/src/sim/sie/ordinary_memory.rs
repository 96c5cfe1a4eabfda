//! An ordinary guest's storage as its CPU reaches it: through the hypervisor's tables straight to host memory.

use alloc::sync::Arc;
use core::cell::Cell;
use core::ops::Range;

use uv_core::{Access, AccessError, Gfn, GuestAddr, HostAddr, NormalMemory, PageState};
use uv_sim::GuestFault;
use uv_sim::guest::GuestMemory;

use crate::abi::sie::{GuestMap, StateDescription};
use crate::abi::uvc::{PgmCode, ProgramInterruption, Teid};
use crate::abi::uvcb::Features;
use crate::sim::machine::Machine;
use crate::sim::memory::HostView;

/// The storage, for one stretch of instructions.
///
/// All accesses go through [`HostView`], as the hypervisor's own do, so no byte of a secure page can come out.
pub(super) struct OrdinaryView {
    host: HostView,
    map: Option<Arc<dyn GuestMap>>,
    /// Where the guest's absolute 0 is in the address space, and its last byte.
    mso: u64,
    last: u64,
    reliable: bool,
    /// What the host takes, after an access that failed.
    fault: Cell<Option<ProgramInterruption>>,
}

impl OrdinaryView {
    pub(super) fn new(machine: &Machine, sd: &StateDescription, asce: u64) -> Self {
        Self {
            host: HostView(Arc::clone(&machine.storage)),
            map: machine.space(asce),
            mso: sd.mso.get() & !0xf_ffff,
            last: sd.msl.get() | 0xf_ffff,
            reliable: machine.features().contains(Features::MISC),
            fault: Cell::new(None),
        }
    }

    /// The interruption of the last access that failed; `None` when the failure is the guest's own.
    pub(super) fn take_fault(&self) -> Option<ProgramInterruption> {
        self.fault.take()
    }

    /// Host address of the byte at `seen`, an address in the guest's address space.
    ///
    /// | # | check | the host takes |
    /// |---|---|---|
    /// | 1 | the page is mapped | 0x11 |
    /// | 2 | a store: mapped writable | 0x04 |
    fn locate(&self, seen: u64, store: bool) -> Result<HostAddr, ProgramInterruption> {
        let fault = |code| ProgramInterruption::access(code, Teid::new(seen, true, Teid::PRIMARY));
        let mapping = self.map.as_ref().and_then(|map| map.translate(GuestAddr(seen)));
        let mapping = mapping.ok_or_else(|| fault(PgmCode::PAGE_TRANSLATION))?;
        if store && !mapping.writable {
            return Err(fault(PgmCode::PROTECTION));
        }
        Ok(HostAddr(mapping.frame.0 & !0xfff | seen & 0xfff))
    }

    /// What the host takes when the access itself failed: 0x3d for a frame that is secure or donated, with the guest's address;
    /// 0x05 for one that does not exist.
    fn refused(&self, seen: u64, error: AccessError) -> ProgramInterruption {
        match error {
            AccessError::Secure { .. } => {
                let teid = Teid::new(seen, self.reliable, Teid::PRIMARY);
                ProgramInterruption::access(PgmCode::SECURE_STORAGE_ACCESS, teid)
            }
            AccessError::Unmapped { .. } => ProgramInterruption::new(PgmCode::ADDRESSING),
        }
    }

    /// Goes page by page.
    fn each(
        &self,
        at: GuestAddr,
        len: usize,
        access: Access,
        mut act: impl FnMut(HostAddr, Range<usize>) -> Result<(), AccessError>,
    ) -> Result<(), GuestFault> {
        let mut done = 0;
        while done < len {
            let addr = at.0.saturating_add(done as u64);
            let gfn = Gfn(addr >> 12);
            let seen = self.mso.checked_add(addr).filter(|seen| *seen <= self.last);
            let seen = seen.ok_or(GuestFault::OutOfRange(gfn))?;
            let left = 0x1000 - usize::try_from(addr & 0xfff).unwrap_or(0);
            let take = left.min(len - done);
            let host = self.locate(seen, access == Access::Store);
            let acted = host.and_then(|host| act(host, done..done + take).map_err(|error| self.refused(seen, error)));
            acted.map_err(|interruption| {
                self.fault.set(Some(interruption));
                GuestFault::Missing { gfn, state: PageState::Absent, access }
            })?;
            done += take;
        }
        Ok(())
    }
}

impl GuestMemory for OrdinaryView {
    fn load(&self, at: GuestAddr, into: &mut [u8], access: Access) -> Result<(), GuestFault> {
        self.each(at, into.len(), access, |host, range| self.host.read(host, &mut into[range]))
    }

    fn store(&self, at: GuestAddr, from: &[u8]) -> Result<(), GuestFault> {
        self.each(at, from.len(), Access::Store, |host, range| self.host.write(host, &from[range]))
    }
}
