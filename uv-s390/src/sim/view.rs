//! From a guest address to the frame behind it, as a guest access finds it.

use alloc::sync::Arc;
use core::cell::Cell;

use uv_core::{Access, GuestAddr, HostAddr};
use uv_sim::GuestFault;
use uv_sim::guest::GuestMemory;

use super::answer::Refusal;
use super::conf::Conf;
use super::frames::Frame;
use super::machine::Machine;
use crate::abi::sie::MappingSize;
use crate::abi::uvc::{PgmCode, ProgramInterruption, Teid, UvRc};
use crate::abi::uvcb::Features;

impl Machine {
    /// The frame of the page at guest absolute `addr`, for a guest access.
    ///
    /// | # | check | the host takes |
    /// |---|---|---|
    /// | 1 | the page is mapped | 0x11 |
    /// | 2 | a store: mapped writable | 0x04 |
    /// | 3 | a large mapping: the frame is verified | 0x3c |
    /// | 4 | the frame exists | 0x05 |
    /// | 5 | the frame is not normal | 0x3e |
    /// | 6 | the frame is this page's | 0x3f |
    ///
    /// That 3 comes before 5 and 6 is a choice (UNSURE).
    pub(crate) fn locate(&self, conf: &Conf, addr: GuestAddr, store: bool) -> Result<HostAddr, ProgramInterruption> {
        let seen = conf.mso.saturating_add(addr.0);
        let fault = |code, reliable| ProgramInterruption::access(code, Teid::new(seen, reliable, Teid::PRIMARY));
        let mapping = self.translate(conf, addr).ok_or_else(|| fault(PgmCode::PAGE_TRANSLATION, true))?;
        if store && !mapping.writable {
            return Err(fault(PgmCode::PROTECTION, true));
        }
        let mib = addr.0 >> 20;
        if mapping.size != MappingSize::Page && !self.storage.frames.is_merged(mapping.frame, conf.id, mib) {
            return Err(fault(PgmCode::SECURE_PAGE_SIZE, true));
        }
        match self.storage.frames.get(mapping.frame) {
            None => Err(ProgramInterruption::new(PgmCode::ADDRESSING)),
            Some(Frame::Normal) => Err(fault(PgmCode::NON_SECURE_STORAGE_ACCESS, true)),
            Some(frame) if frame.page().is_some_and(|page| Some(page) == conf.gfn(addr).map(|gfn| (conf.id, gfn))) => {
                Ok(mapping.frame)
            }
            Some(_) => {
                let reliable = self.features().contains(Features::MISC);
                Err(fault(PgmCode::SECURE_STORAGE_VIOLATION, reliable))
            }
        }
    }
}

/// How a guest's call ends when it could not reach guest memory: with `rc` for an address outside guest storage.
pub(crate) fn outside(rc: UvRc) -> impl Fn(ViewError) -> Refusal {
    move |error| match error {
        ViewError::Host(interruption) => Refusal::Interrupted(interruption),
        ViewError::Outside => rc.into(),
        ViewError::Busy => Refusal::Busy,
    }
}

/// A guest's memory as its CPU reaches it: through the hypervisor's tables, to frames that are this guest's.
pub(crate) struct GuestView<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) conf: &'a Arc<Conf>,
    /// What the host takes, after an access that failed.
    fault: Cell<Option<ProgramInterruption>>,
}

impl<'a> GuestView<'a> {
    pub(crate) fn new(machine: &'a Machine, conf: &'a Arc<Conf>) -> Self {
        Self { machine, conf, fault: Cell::new(None) }
    }

    /// The interruption of the last access that failed; `None` when the failure is the guest's own.
    pub(crate) fn take_fault(&self) -> Option<ProgramInterruption> {
        self.fault.take()
    }

    /// Reads guest memory for the machine itself.
    pub(crate) fn read(&self, at: GuestAddr, into: &mut [u8]) -> Result<(), ViewError> {
        if self.conf.in_place {
            self.check(at, into.len() as u64)?;
            return self.machine.storage.bytes.read(HostAddr(at.0), into).map_err(|_| ViewError::Outside);
        }
        self.load(at, into, Access::Load).map_err(|error| self.why(error))
    }

    /// Writes guest memory for the machine itself.
    pub(crate) fn write(&self, at: GuestAddr, from: &[u8]) -> Result<(), ViewError> {
        if self.conf.in_place {
            self.check(at, from.len() as u64)?;
            return self.machine.storage.bytes.write(HostAddr(at.0), from).map_err(|_| ViewError::Outside);
        }
        self.store(at, from).map_err(|error| self.why(error))
    }

    /// Whether `len` bytes at `at` can be read and written now.
    pub(crate) fn check(&self, at: GuestAddr, len: u64) -> Result<(), ViewError> {
        let end = at.0.checked_add(len).filter(|end| *end <= self.conf.msl).ok_or(ViewError::Outside)?;
        if self.conf.in_place {
            return self.machine.storage.bytes.check(HostAddr(at.0), len).map_err(|_| ViewError::Outside);
        }
        if len == 0 {
            return Ok(());
        }
        for page in (at.0 >> 12)..end.div_ceil(0x1000) {
            self.machine.locate(self.conf, GuestAddr(page << 12), true).map_err(ViewError::Host)?;
        }
        Ok(())
    }

    fn why(&self, error: GuestFault) -> ViewError {
        match (self.take_fault(), error) {
            (Some(interruption), _) => ViewError::Host(interruption),
            (None, GuestFault::Busy(_)) => ViewError::Busy,
            (None, _) => ViewError::Outside,
        }
    }

    /// Goes page by page: each must be this guest's at the moment of the access.
    fn each(
        &self,
        at: GuestAddr,
        len: usize,
        store: bool,
        mut act: impl FnMut(GuestAddr, core::ops::Range<usize>) -> Result<(), GuestFault>,
    ) -> Result<(), GuestFault> {
        let mut done = 0;
        while done < len {
            let addr = GuestAddr(at.0.saturating_add(done as u64));
            let gfn = self.conf.gfn(addr).ok_or(GuestFault::OutOfRange(uv_core::Gfn(addr.0 >> 12)))?;
            let left = 0x1000 - usize::try_from(addr.0 & 0xfff).unwrap_or(0);
            let take = left.min(len - done);
            let missing = |interruption| {
                self.fault.set(Some(interruption));
                let access = if store { Access::Store } else { Access::Load };
                GuestFault::Missing { gfn, state: uv_core::PageState::Absent, access }
            };
            self.machine.locate(self.conf, addr, store).map_err(missing)?;
            act(addr, done..done + take).map_err(|error| match error {
                // The host took the page between the two looks: as if it had been gone at the first.
                GuestFault::Missing { .. } | GuestFault::Memory { .. } => {
                    let seen = self.conf.mso.saturating_add(addr.0);
                    let teid = Teid::new(seen, true, Teid::PRIMARY);
                    missing(ProgramInterruption::access(PgmCode::NON_SECURE_STORAGE_ACCESS, teid))
                }
                other => other,
            })?;
            done += take;
        }
        Ok(())
    }
}

/// Why the machine could not reach guest memory for a guest's call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ViewError {
    /// The host has to act first.
    Host(ProgramInterruption),
    /// Outside guest storage: the guest's own fault.
    Outside,
    /// Somebody else is changing the page.
    Busy,
}

impl GuestMemory for GuestView<'_> {
    fn load(&self, at: GuestAddr, into: &mut [u8], access: Access) -> Result<(), GuestFault> {
        let memory = &self.machine.storage.bytes;
        self.each(at, into.len(), false, |addr, range| {
            self.conf.space.guest_read(memory, addr, &mut into[range], access)
        })
    }

    fn store(&self, at: GuestAddr, from: &[u8]) -> Result<(), GuestFault> {
        let memory = &self.machine.storage.bytes;
        self.each(at, from.len(), true, |addr, range| self.conf.space.guest_write(memory, addr, &from[range]))
    }
}
