//! Completing the instruction that left the guest last, with what the host put into the save area, the SIDA and the
//! condition code.
//!
//! A SERVC that the host has answered is told once more when it is complete, as interception 108: from there on, and not
//! before, the machine lets the service signal of the answer through. KVM unmasks it at that interception alone (UNSURE: inferred
//! from there, as what the host sees of it: what it saw at the 104).

use super::intercept::{Exit, filtered};
use crate::abi::psw::Psw;
use crate::abi::sie::{InterceptionCode, StateDescription, Validity};
use crate::sim::conf::Conf;
use crate::sim::cpu::{Core, Pending};
use crate::sim::guest::{GuestInsn, InsnResult};
use crate::sim::machine::Machine;
use core::sync::atomic::Ordering;
use zeroize::Zeroizing;

/// Bytes that STSI and STHYI store.
const RESULT: usize = 0x1000;
/// Register with the return code of STHYI.
const STHYI_RETURN_CODE: usize = 5;
/// The condition code in a PSW mask.
const PSW_CC_SHIFT: u32 = 63 - 19;

impl Machine {
    /// Completes what is pending. `Some` when the host hears of the completion.
    pub(super) fn complete(
        &self,
        sd: &StateDescription,
        conf: &Conf,
        core: &mut Core,
    ) -> Result<Option<Exit>, Validity> {
        let result = match &core.pending {
            Pending::None => return Ok(None),
            Pending::Retry => None,
            Pending::Notification(insn) => Some(self.notified(conf, insn)),
            Pending::Instruction(insn) => Some(self.emulated(sd, insn)?),
        };
        if let Pending::Instruction(_) = core.pending {
            let cc = condition(sd);
            let old = core.registers.psw;
            let mask = old.mask.get() & !(3 << PSW_CC_SHIFT) | u64::from(cc) << PSW_CC_SHIFT;
            core.registers.psw = Psw::new(mask, old.address.get());
        }
        let answered = match core::mem::replace(&mut core.pending, Pending::None) {
            Pending::Instruction(insn @ GuestInsn::Servc { .. }) => Some(insn.shape()),
            _ => None,
        };
        if let (Some(result), Some(guest)) = (result, &mut core.guest) {
            if let InsnResult::Registers(gr) = &result {
                core.registers.gr[..5].copy_from_slice(gr);
            }
            guest.complete(result);
        }
        Ok(answered.map(|shape| {
            conf.service_masked.store(false, Ordering::Release);
            Exit::instruction(InterceptionCode::PV_NOTIFICATION, shape).with_psw(filtered(core.registers.psw))
        }))
    }

    /// After an interception 108 or 0x38 the host's edits do not count.
    fn notified(&self, conf: &Conf, insn: &GuestInsn) -> InsnResult {
        match insn {
            GuestInsn::Sigp { order, cpu, .. } => Self::signalled(conf, *order, *cpu),
            GuestInsn::Servc { .. } => InsnResult::Condition { cc: 0, value: 0 },
            _ => InsnResult::Done,
        }
    }

    /// After an interception 104 the result is the host's.
    fn emulated(&self, sd: &StateDescription, insn: &GuestInsn) -> Result<InsnResult, Validity> {
        let data = |cc: u8, len: usize| -> Result<InsnResult, Validity> {
            let mut bytes = Zeroizing::new(alloc::vec![0; len]);
            self.read_sida(sd, &mut bytes)?;
            Ok(InsnResult::Data { cc, bytes })
        };
        match insn {
            GuestInsn::Diag { code: 0x500, gr } => Ok(InsnResult::Registers([gr[0], gr[1], sd.gr(2), gr[3], gr[4]])),
            GuestInsn::Diag { gr, .. } => Ok(InsnResult::Registers([sd.gr(0), sd.gr(1), gr[2], gr[3], gr[4]])),
            // The IPIB that was stored; its response code is found in GR1 by the caller of the instruction.
            GuestInsn::Diag308 { subcode: 6, .. } => {
                let mut bytes = Zeroizing::new(alloc::vec![0; RESULT]);
                self.read_sida(sd, &mut bytes)?;
                Ok(InsnResult::Ipl { response: sd.gr(1), ipib: bytes })
            }
            GuestInsn::Diag308 { .. } => {
                Ok(InsnResult::Ipl { response: sd.gr(1), ipib: Zeroizing::new(alloc::vec::Vec::new()) })
            }
            // The condition code of a service call is the Ultravisor's.
            GuestInsn::Servc { sccb, .. } => data(0, sccb.len()),
            // Without data the guest looks at the return code, in the register behind the address.
            GuestInsn::Sthyi { .. } if condition(sd) != 0 => {
                Ok(InsnResult::Condition { cc: condition(sd), value: sd.gr(STHYI_RETURN_CODE) })
            }
            GuestInsn::Stsi { .. } | GuestInsn::Sthyi { .. } => data(condition(sd), RESULT),
            GuestInsn::ChannelIo { operand, .. } => data(condition(sd), operand.len().max(RESULT)),
            _ => Ok(InsnResult::Done),
        }
    }
}

/// The condition code in the state description.
fn condition(sd: &StateDescription) -> u8 {
    let [_, _, byte, ..] = sd.psw.mask.to_bytes();
    byte >> 4 & 3
}
