//! SIE: running a guest's CPU.
//!
//! An ordinary guest's (SDF 0) is run by `ordinary`. One entry of a protected guest's, in order:
//!
//! | # | step | file | exit |
//! |---|---|---|---|
//! | 1 | the state description is read | here | program interruption |
//! | 2 | may this CPU be entered? | `validity` | validity interception, 0x20xx |
//! | 3 | an interruption is taken over | `inject` | validity interception |
//! | 4 | both prefix pages are secure | here | interception 112 |
//! | 5 | a start PSW is loaded | `load` | program interruption 0x3e |
//! | 6 | the instruction that left the guest last is completed | `complete` | interception 108 after an answered SERVC |
//! | 7 | the last external interruption is no loop through the external-new PSW | `external` | interception 0x14 |
//! | 8 | the guest runs | `run`, `instruction`, `sigp` | interception, or program interruption 0x3e, 0x3f, 0x3c |
//! | 9 | interception, registers, timer are stored | here | |
//!
//! Steps 5 and 8 also end with interception 0x08 (s390-ultravisor §6.2): a specification exception whose program-new PSW is
//! itself bad loops without end, as 0x14 does for external interruptions. Scripts have no program-new PSW; what stands for the
//! loop is [`GuestInsn::Crash`](super::GuestInsn::Crash), a start, reset or restart PSW that is no PSW, and a load or store
//! outside guest storage.
//!
//! An interruption that was taken over at step 3 counts as injected when step 4 ends the entry (UNSURE).

mod complete;
mod external;
mod inject;
mod instruction;
mod intercept;
mod load;
mod ordinary;
mod ordinary_instruction;
mod ordinary_memory;
mod run;
mod sigp;
mod subclass;
#[cfg(test)]
mod tests;
mod validity;

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use uv_core::{AccessError, GuestAddr, HostAddr, NormalMemory};
use zerocopy::{FromZeros, IntoBytes};

use intercept::{EntryResult, Exit};

use super::conf::Conf;
use super::cpu::{Core, Cpu, TimerMark};
use super::machine::Machine;
use super::memory::HostView;
use crate::abi::sie::{InterceptionCode, Sie, StateDescription, fields};
use crate::abi::uvc::{PgmCode, ProgramInterruption, Teid};

/// A state description begins at a multiple of this.
const ALIGNMENT: u64 = 512;

impl Sie for Machine {
    fn enter(&self, state: HostAddr, asce: u64, grs: &mut [u64; 16]) -> Result<(), ProgramInterruption> {
        if !state.0.is_multiple_of(ALIGNMENT) {
            return Err(ProgramInterruption::new(PgmCode::SPECIFICATION));
        }
        let host = HostView(Arc::clone(&self.storage));
        let mut sd = StateDescription::new_zeroed();
        host.read(state, sd.as_mut_bytes()).map_err(|error| self.host_fault(error))?;
        self.clock.advance(super::TOD_PER_MICROSECOND);
        // The state description of a secure CPU is refused in any other format.
        let ordinary = sd.sdf == fields::SDF_NORMAL && !self.is_secure_state(state);
        let end =
            if ordinary { ordinary::enter(self, &mut sd, state, asce, grs) } else { self.admit(&mut sd, state, asce) };
        tracing::trace!(%state, ?end, ordinary, "SIE exit");
        let (done, stored) = if ordinary {
            (end.map(|exit| exit.store_code(&mut sd)), ordinary::write_back(&host, state, &sd))
        } else {
            let ext_code = end.is_ok_and(|exit| exit.ext_code.is_some());
            (end.map(|exit| exit.store(&mut sd)), write_back(&host, state, &sd, ext_code))
        };
        stored.map_err(|error| self.host_fault(error))?;
        done
    }
}

/// Stores what the machine changes, and nothing that another host CPU may be changing.
fn write_back(host: &HostView, state: HostAddr, sd: &StateDescription, ext_code: bool) -> Result<(), AccessError> {
    let bytes = sd.as_bytes();
    let always = [0x28..0x30, 0x50..0x5c, 0x90..0xa0, 0x100..0x180, 0x380..0x400];
    for range in always.into_iter().chain(ext_code.then_some(0xc6..0xc8)) {
        host.write(HostAddr(state.0 + range.start as u64), &bytes[range])?;
    }
    Ok(())
}

impl Machine {
    /// What the host takes when it cannot reach its own storage.
    fn host_fault(&self, error: AccessError) -> ProgramInterruption {
        match error {
            AccessError::Unmapped { .. } => ProgramInterruption::new(PgmCode::ADDRESSING),
            AccessError::Secure { at } => self.secure_access(at),
        }
    }

    /// The secure-storage-access exception for a host access to `at`: what the hypervisor's own accesses through
    /// [`HostView`] take when they give [`AccessError::Secure`].
    #[must_use]
    pub fn secure_access(&self, at: HostAddr) -> ProgramInterruption {
        let reliable = self.features().contains(crate::abi::uvcb::Features::MISC);
        let teid = Teid::new(at.0, reliable, Teid::HOME);
        ProgramInterruption::access(PgmCode::SECURE_STORAGE_ACCESS, teid)
    }

    /// Steps 2 to 8.
    fn admit(&self, sd: &mut StateDescription, state: HostAddr, asce: u64) -> EntryResult {
        let (conf, cpu) = match self.find(sd, state) {
            Ok(found) => found,
            Err(validity) => return Ok(Exit::validity(validity)),
        };
        if cpu.running.swap(true, Ordering::Acquire) {
            return Ok(Exit::validity(crate::abi::sie::Validity::RUNNING));
        }
        let mut core = cpu.core.lock();
        let end = self.entered(sd, &conf, &cpu, &mut core, asce);
        drop(core);
        cpu.running.store(false, Ordering::Release);
        end
    }

    fn entered(
        &self,
        sd: &mut StateDescription,
        conf: &Arc<Conf>,
        cpu: &Cpu,
        core: &mut Core,
        asce: u64,
    ) -> EntryResult {
        let checked = self.check_entry(sd, conf, cpu.number, core, asce).and_then(|()| inject::take(sd, conf, core));
        if let Err(validity) = checked {
            return Ok(Exit::validity(validity));
        }
        sd.iictl = 0;
        core.registers.clock_comparator = sd.clock_comparator.get();
        let (timer, entry) = (sd.cpu_timer.get(), self.clock.now());
        core.no_injection = false;
        let end = self.inside(sd, conf, cpu, core);
        let now = self.clock.now();
        sd.cpu_timer = timer.wrapping_sub(now - entry).into();
        sd.crs = subclass::visible(&core.registers.cr).map(Into::into);
        core.timer = Some(TimerMark { timer: sd.cpu_timer.get(), at: now });
        core.no_injection |= end.is_ok_and(|exit| exit.code == InterceptionCode::PV_PREFIX);
        end
    }

    fn inside(&self, sd: &mut StateDescription, conf: &Arc<Conf>, cpu: &Cpu, core: &mut Core) -> EntryResult {
        let prefix = u64::from(core.registers.prefix);
        for page in [prefix, prefix + 0x1000] {
            if self.locate(conf, GuestAddr(page), true).is_err() {
                return Ok(Exit::plain(InterceptionCode::PV_PREFIX));
            }
        }
        if let Some(exit) = self.load_psw(conf, cpu, core)? {
            return Ok(exit);
        }
        match self.complete(sd, conf, core) {
            Ok(None) => {}
            Ok(Some(exit)) => return Ok(exit),
            Err(validity) => return Ok(Exit::validity(validity)),
        }
        if let Some(exit) = self.external_loop(conf, core)? {
            return Ok(exit);
        }
        self.run(sd, conf, cpu, core)
    }
}
