//! Instructions of an ordinary guest: what the machine does alone, and what it hands to the hypervisor.
//!
//! | instruction | what happens |
//! |---|---|
//! | DIAGNOSE, all codes and all subcodes of 0x308 | interception 0x04; operands in GR0–GR4, function code in GR5; results from GR0–GR4 |
//! | SIGP | interception 0x04; parameter in GR1, CPU in GR2, order in GR5; condition code from the PSW, status from GR0 |
//! | STSI | interception 0x04; GR0, GR1, operand at GR5; condition code, GR0 |
//! | STHYI | interception 0x04; function code in GR2, address in GR4; condition code, return code from GR5 |
//! | channel I/O | interception 0x04; subchannel in GR1, operand at GR5; condition code |
//! | SERVC | interception 0x04; command in GR1, SCCB at GR2; condition code |
//! | SPX, interruption masks, control registers, general registers | done by the machine |
//! | wait | interception 0x1c |
//! | a privileged instruction in problem state | privileged-operation exception |
//! | UV call | operation exception (see `ordinary`) |
//!
//! The encodings are those of the normalized form that protected guests show; any other would be as good.

use super::intercept::Exit;
use crate::abi::psw::{PSW_CC, PSW_INTERRUPTIONS, PSW_WAIT};
use crate::abi::sie::{InterceptionCode, StateDescription};
use crate::abi::uvc::PgmCode;
use crate::sim::guest::{GuestInsn, InsnResult};
use crate::sim::ordinary_cpu::Place;

/// What became of an instruction.
pub(super) enum Issue {
    /// Done, without the host.
    Done,
    /// The guest exits.
    Exit(Exit),
}

/// Register with the address of an SCCB.
const SCCB: usize = 2;

impl Place {
    /// Lets the guest issue an instruction.
    pub(super) fn issue(&mut self, sd: &mut StateDescription, grs: &mut [u64; 16], insn: GuestInsn) -> Issue {
        let result = match &insn {
            GuestInsn::ProblemState(inner) => match &**inner {
                // What is not installed comes before the state that it would be allowed in.
                GuestInsn::Uvc { .. } => InsnResult::Exception(PgmCode::OPERATION),
                inner if inner.is_privileged() => InsnResult::Exception(PgmCode::PRIVILEGED_OPERATION),
                inner => return self.issue(sd, grs, inner.clone()),
            },
            GuestInsn::Diag { gr, .. } => {
                grs[..5].copy_from_slice(gr);
                return self.leave(grs, insn);
            }
            GuestInsn::Diag308 { .. } | GuestInsn::Sigp { .. } => return self.leave(grs, insn),
            GuestInsn::Stsi { .. }
            | GuestInsn::Sthyi { .. }
            | GuestInsn::ChannelIo { .. }
            | GuestInsn::Servc { .. } => {
                return self.leave(grs, insn);
            }
            GuestInsn::Wait => {
                sd.psw.mask = (sd.psw.mask.get() | PSW_WAIT).into();
                self.pending = Some(insn);
                return Issue::Exit(Exit::plain(InterceptionCode::WAIT));
            }
            GuestInsn::Crash => return Issue::Exit(Exit::plain(InterceptionCode::PROGRAM)),
            GuestInsn::Spx { prefix } => {
                let prefix = prefix & 0x7fff_e000;
                if u64::from(prefix) + 0x2000 > (sd.msl.get() | 0xf_ffff).saturating_add(1) {
                    InsnResult::Exception(PgmCode::ADDRESSING)
                } else {
                    sd.set_prefix_address(prefix);
                    InsnResult::Done
                }
            }
            GuestInsn::SetMask { mask } => {
                sd.psw.mask = (sd.psw.mask.get() & !PSW_INTERRUPTIONS | mask & PSW_INTERRUPTIONS).into();
                InsnResult::Done
            }
            GuestInsn::SetCr { number, value } => {
                if let Some(cr) = sd.crs.get_mut(usize::from(*number)) {
                    *cr = (*value).into();
                }
                InsnResult::Done
            }
            GuestInsn::SetGr { number, value } => {
                if let Some(gr) = grs.get_mut(usize::from(*number)) {
                    *gr = *value;
                }
                InsnResult::Done
            }
            // What the hypervisor delivers begins another program, so there is never anything to tell.
            GuestInsn::Interruptions => InsnResult::Interruptions(alloc::vec::Vec::new()),
            _ => InsnResult::Exception(PgmCode::OPERATION),
        };
        self.finish(result);
        Issue::Done
    }

    /// The guest exits with an instruction, its operands in the general registers.
    fn leave(&mut self, grs: &mut [u64; 16], insn: GuestInsn) -> Issue {
        let mut shape = insn.shape();
        if matches!(insn, GuestInsn::Servc { .. }) {
            // Where the SCCB is, is in GR2 already; what stands for its address is for protected guests.
            shape.gr.retain(|(number, _)| *number != SCCB);
        }
        for (number, value) in &shape.gr {
            if let Some(gr) = grs.get_mut(*number) {
                *gr = *value;
            }
        }
        self.pending = Some(insn);
        Issue::Exit(Exit::instruction(InterceptionCode::INSTRUCTION, shape))
    }

    /// Completes what is pending with what the hypervisor left in registers and PSW.
    pub(super) fn complete(&mut self, sd: &StateDescription, grs: &[u64; 16]) {
        let result = match self.pending.take() {
            None => return,
            Some(GuestInsn::Diag { .. }) => InsnResult::Registers([grs[0], grs[1], grs[2], grs[3], grs[4]]),
            Some(GuestInsn::Diag308 { .. }) => {
                InsnResult::Ipl { response: grs[1], ipib: zeroize::Zeroizing::new(alloc::vec::Vec::new()) }
            }
            Some(GuestInsn::Sigp { .. } | GuestInsn::Stsi { .. }) => condition(sd, grs[0]),
            Some(GuestInsn::Sthyi { .. }) => condition(sd, grs[5]),
            Some(GuestInsn::ChannelIo { .. } | GuestInsn::Servc { .. }) => condition(sd, grs[1]),
            Some(_) => InsnResult::Interruptions(alloc::vec::Vec::new()),
        };
        self.finish(result);
    }

    fn finish(&mut self, result: InsnResult) {
        if let Some(guest) = &mut self.guest {
            guest.complete(result);
        }
    }
}

/// The condition code that the hypervisor left, and the register that the instruction answers in.
fn condition(sd: &StateDescription, value: u64) -> InsnResult {
    let cc = u8::try_from((sd.psw.mask.get() & PSW_CC) >> PSW_CC.trailing_zeros()).unwrap_or(0);
    InsnResult::Condition { cc, value }
}
