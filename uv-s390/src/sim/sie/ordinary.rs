//! Entering an ordinary guest's CPU (state description with SDF 0).
//!
//! The Ultravisor has no part in it: registers, PSW and storage of the guest are the hypervisor's.
//!
//! # Where a program begins
//! A script has no instruction addresses of its own. Each step counts as one instruction of 4 bytes, so the PSW that is
//! stored at an exit is the one the program began at, moved on by 4 for each step done and for an intercepted instruction.
//! At an entry whose PSW has the address that was stored last, the program goes on and the intercepted instruction is
//! completed from the guest's registers; at any other address the program that the guest's code has for that PSW begins.
//!
//! # What is simplified
//! | on a machine | here |
//! |---|---|
//! | interruptions swap PSWs in the guest's prefix area | the hypervisor does that; the PSW that it puts into the state description begins a program. The machine itself swaps none |
//! | a wait ends with an interruption | it also ends when the hypervisor takes the wait bit out of the PSW |
//! | an addressing exception of the guest | interception 0x08: scripts have no handler |
//! | SERVC, STSI, STHYI, channel I/O with operands in guest storage | the script has put the address into the register before, and the operand there; it loads the result |
//! | UV call | operation exception: an ordinary guest has no facility 158 |
//! | DIAGNOSE 0x308 with its IPIB | the script stores the IPIB before, and loads it afterwards |
//! | prefixing, dynamic address translation | none: a script's addresses are guest absolute |
//! | IICTL | ignored: it belongs to format 4 |
//! | LCTL, ICTL: interception of an instruction that loads control registers or a PSW | ignored: the instruction is done, and a hypervisor that waits for a subclass mask finds it at the next exit |

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use uv_core::{AccessError, HostAddr, NormalMemory};
use uv_sim::guest::GuestEvent;
use zerocopy::IntoBytes;

use super::intercept::{EntryResult, Exit};
use super::ordinary_instruction::Issue;
use super::ordinary_memory::OrdinaryView;
use super::run::SLICE;
use crate::abi::psw::{PSW_INTERRUPTIONS, PSW_WAIT, Psw};
use crate::abi::sie::{InterceptionCode, StateDescription, Validity};
use crate::sim::machine::Machine;
use crate::sim::memory::HostView;
use crate::sim::ordinary_cpu::{OrdinaryCpu, Place};

/// Runs the CPU with the state description at `state`, which was read into `sd`, and stores what the machine changes.
pub(super) fn enter(
    machine: &Machine,
    sd: &mut StateDescription,
    state: HostAddr,
    asce: u64,
    grs: &mut [u64; 16],
) -> EntryResult {
    let cpu = machine.ordinary.write().entry(state).or_insert_with(|| Arc::new(OrdinaryCpu::new())).clone();
    if cpu.running.swap(true, Ordering::Acquire) {
        // UNSURE: the validity code of an ordinary CPU that runs already.
        return Ok(Exit::validity(Validity::RUNNING));
    }
    let mut all = *grs;
    (all[14], all[15]) = (sd.gr14.get(), sd.gr15.get());
    let (timer, entry) = (sd.cpu_timer.get(), machine.clock.now());
    let end = machine.ordinary_inside(&mut cpu.place.lock(), sd, state, asce, &mut all);
    sd.cpu_timer = timer.wrapping_sub(machine.clock.now() - entry).into();
    (sd.gr14, sd.gr15) = (all[14].into(), all[15].into());
    grs[..14].copy_from_slice(&all[..14]);
    cpu.running.store(false, Ordering::Release);
    end
}

/// Stores what the machine changes of an ordinary CPU. The prefix is among it only after the guest set it.
pub(super) fn write_back(host: &HostView, state: HostAddr, sd: &StateDescription) -> Result<(), AccessError> {
    let bytes = sd.as_bytes();
    for range in [0x04..0x08, 0x28..0x30, 0x50..0x52, 0x56..0x5c, 0x90..0xb0, 0x100..0x180] {
        host.write(HostAddr(state.0 + range.start as u64), &bytes[range])?;
    }
    Ok(())
}

impl Machine {
    /// Whether a secure CPU was created with this state description: it cannot be entered as an ordinary one.
    pub(super) fn is_secure_state(&self, state: HostAddr) -> bool {
        self.cpus.read().values().any(|cpu| cpu.state_origin == state)
    }

    fn ordinary_inside(
        &self,
        place: &mut Place,
        sd: &mut StateDescription,
        state: HostAddr,
        asce: u64,
        grs: &mut [u64; 16],
    ) -> EntryResult {
        if let Some(code) = self.requested(state, sd.psw.mask.get()) {
            return Ok(Exit::plain(code));
        }
        if sd.psw.mask.get() & PSW_WAIT != 0 {
            return Ok(Exit::plain(InterceptionCode::WAIT));
        }
        let address = sd.psw.address.get();
        if place.stored != Some(address) {
            place.start = address;
            place.pending = None;
            place.guest = self.begin_program(state, sd.psw);
            tracing::debug!(%state, address, "ordinary program begins");
        } else {
            place.complete(sd, grs);
        }
        let end = self.ordinary_run(place, sd, state, asce, grs);
        let address = place.address();
        place.stored = Some(address);
        sd.psw = Psw::new(sd.psw.mask.get(), address);
        end
    }

    fn ordinary_run(
        &self,
        place: &mut Place,
        sd: &mut StateDescription,
        state: HostAddr,
        asce: u64,
        grs: &mut [u64; 16],
    ) -> EntryResult {
        for _ in 0..SLICE {
            if let Some(code) = self.requested(state, sd.psw.mask.get()) {
                return Ok(Exit::plain(code));
            }
            let view = OrdinaryView::new(self, sd, asce);
            let Some(guest) = &mut place.guest else { return Ok(wait_disabled(sd)) };
            self.clock.advance(crate::sim::TOD_PER_MICROSECOND);
            match guest.advance(&view) {
                GuestEvent::Halted => return Ok(wait_disabled(sd)),
                GuestEvent::Fault(_) => {
                    return match view.take_fault() {
                        Some(interruption) => Err(interruption),
                        None => Ok(Exit::plain(InterceptionCode::PROGRAM)),
                    };
                }
                GuestEvent::Call(insn) => match place.issue(sd, grs, insn) {
                    Issue::Done => {}
                    Issue::Exit(exit) => return Ok(exit),
                },
            }
        }
        Ok(Exit::plain(InterceptionCode::HOST_INTERRUPTION))
    }
}

/// A program that has ended waits with all interruptions masked.
fn wait_disabled(sd: &mut StateDescription) -> Exit {
    let mask = sd.psw.mask.get() & !PSW_INTERRUPTIONS;
    sd.psw.mask = (mask | PSW_WAIT).into();
    Exit::plain(InterceptionCode::WAIT)
}
