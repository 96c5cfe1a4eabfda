//! Running the guest until somebody has to act.

use alloc::sync::Arc;

use uv_core::{HostAddr, NormalMemory};
use uv_sim::guest::GuestEvent;

use super::intercept::{EntryResult, Issue};
use super::intercept::{Exit, PSW_VISIBLE, filtered};
use super::sigp;
use crate::abi::psw::{PSW_EXTERNAL, PSW_IO, PSW_WAIT, Psw};
use crate::abi::sie::{ExecutionControl, InterceptionCode, StateDescription};
use crate::sim::conf::Conf;
use crate::sim::cpu::{Core, Cpu};
use crate::sim::machine::Machine;
use crate::sim::memory::HostView;
use crate::sim::view::GuestView;

/// Instructions after which the host's own timer takes the CPU away from the guest.
pub(super) const SLICE: u32 = 1 << 14;

impl Machine {
    /// Step 8: the guest runs.
    pub(super) fn run(&self, sd: &StateDescription, conf: &Arc<Conf>, cpu: &Cpu, core: &mut Core) -> EntryResult {
        for _ in 0..SLICE {
            sigp::deliver(cpu, core);
            if let Some(code) = self.requested(cpu.state_origin, core.registers.psw.mask.get()) {
                return Ok(Exit::plain(code).with_psw(filtered(core.registers.psw)));
            }
            let view = GuestView::new(self, conf);
            let Some(guest) = &mut core.guest else {
                return Ok(waiting(core, true));
            };
            self.clock.advance(crate::sim::TOD_PER_MICROSECOND);
            match guest.advance(&view) {
                GuestEvent::Halted => return Ok(waiting(core, true)),
                GuestEvent::Fault(_) => {
                    return match view.take_fault() {
                        Some(interruption) => Err(interruption),
                        // Outside guest storage: an addressing exception that a script cannot handle.
                        None => Ok(Exit::plain(InterceptionCode::PROGRAM).with_psw(filtered(core.registers.psw))),
                    };
                }
                GuestEvent::Call(insn) => match self.issue(sd, conf, cpu, core, insn) {
                    Issue::Done(result) => {
                        if let Some(guest) = &mut core.guest {
                            guest.complete(result);
                        }
                    }
                    Issue::Exit(exit) => return Ok(exit.with_psw(filtered(core.registers.psw))),
                    Issue::Wait => return Ok(waiting(core, false)),
                    Issue::Interrupted(interruption) => return Err(interruption),
                },
            }
        }
        Ok(Exit::plain(InterceptionCode::HOST_INTERRUPTION).with_psw(filtered(core.registers.psw)))
    }

    /// What the host asked for in the CPU flags of the state description at `state`, looked at between instructions.
    pub(super) fn requested(&self, state: HostAddr, mask: u64) -> Option<InterceptionCode> {
        let mut flags = [0; 4];
        HostView(Arc::clone(&self.storage)).read(state, &mut flags).ok()?;
        let flags = ExecutionControl::from_bits_retain(u32::from_be_bytes(flags));
        if flags.contains(ExecutionControl::STOP_INTERCEPT) {
            Some(InterceptionCode::STOP)
        } else if flags.contains(ExecutionControl::EXTERNAL_INTERCEPT) && mask & PSW_EXTERNAL != 0 {
            Some(InterceptionCode::EXTERNAL_REQUEST)
        } else if flags.contains(ExecutionControl::IO_INTERCEPT) && mask & PSW_IO != 0 {
            Some(InterceptionCode::IO_REQUEST)
        } else {
            None
        }
    }
}

/// Interception "wait"; for a program that has ended, a wait with all interruptions masked.
fn waiting(core: &Core, for_ever: bool) -> Exit {
    let mask = if for_ever { 0 } else { core.registers.psw.mask.get() & PSW_VISIBLE };
    Exit::plain(InterceptionCode::WAIT).with_psw(Psw::new(mask | PSW_WAIT, 0))
}
