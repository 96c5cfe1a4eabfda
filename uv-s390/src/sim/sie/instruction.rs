//! The instructions that leave a guest: which of them the Ultravisor does alone, and what the host sees of the others
//! (s390-ultravisor §6.3).
//!
//! | instruction | exit | host sees |
//! |---|---|---|
//! | DIAG 0x44 | 108 | GR5 = 0x44 |
//! | DIAG 0x9c | 108 | GR0 = target CPU, GR5 = 0x9c |
//! | DIAG 0x288 | 104 | GR0–GR2, GR5 = 0x288 |
//! | DIAG 0x308 subcode 0, 1 | 108 | GR0–GR2, GR5 = 0x308; the configuration is to be reset |
//! | DIAG 0x308 subcode 3, 5, 6 | 104 | as above; the IPIB in the SIDA; 5, 6: specification exception for an address that is not a page's, addressing exception outside guest storage, the host takes 0x3e for a page that is not secure |
//! | DIAG 0x308, other subcodes | none | specification exception in the guest |
//! | DIAG 0x500 | 104 | GR1–GR4, GR5 = 0x500 |
//! | DIAG, other codes | none | specification exception in the guest |
//! | SPX | 108 | new prefix in the SIDA |
//! | SERVC | 104, and 108 when the host has answered (`complete`) | SCCB in the SIDA, command in GR1 |
//! | SERVC with a bad SCCB | 108 | nothing |
//! | UVC | none; 108 for the unshare of a pinned page | the control block in the SIDA |
//! | SIGP | 108, 0x38 or none (`sigp`) | order in GR5, CPU in GR2, parameter in GR1 |
//! | STSI | 104 | GR0, GR1 |
//! | STHYI | 104 | function code in GR2 |
//! | channel I/O | 104 | subchannel in GR1, operand in the SIDA |
//! | PQAP, NQAP, DQAP | none (`ap::instruction`) | nothing |
//! | any of these in problem state | none | privileged-operation exception in the guest, before any other check (§5.3 row 1, §1.1) |
//!
//! UNSURE: the class of DIAG 0x288, and the registers of SERVC, SIGP, STSI and STHYI; see docs/s390-unsure.md.

use alloc::sync::Arc;
use alloc::vec;
use core::sync::atomic::Ordering;

use uv_core::{GuestAddr, HostAddr, NormalMemory};

use super::intercept::{Exit, Issue, Shape};
use crate::abi::psw::{PSW_INTERRUPTIONS, PSW_MACHINE_CHECK, Psw};
use crate::abi::sie::{InjectionControl, InterceptionCode, StateDescription, Validity, fields};
use crate::abi::uvc::PgmCode;
use crate::sim::conf::{Conf, Reset};
use crate::sim::cpu::{Core, Cpu, Pending};
use crate::sim::guest::{GuestInsn, InsnResult};
use crate::sim::guest_call::Called;
use crate::sim::machine::Machine;
use crate::sim::memory::HostView;
use crate::sim::view::{GuestView, ViewError};

/// IPA and IPB of every DIAGNOSE: r1 0, r3 2, base 5, displacement 0.
const DIAG: (u16, u32) = (0x8302, 0x5000_0000);
/// Register that holds a DIAGNOSE's function code, or another instruction's second operand.
const CODE: usize = 5;
/// LCTL bits by control register.
const LCTL: [(u8, u16); 3] = [(0, fields::LCTL_CR0), (6, fields::LCTL_CR6), (14, fields::LCTL_CR14)];
/// What stands for the SCCB's address.
const SCCB_DUMMY: u64 = 0x4000;

impl GuestInsn {
    /// Whether the host may answer the instruction with this program interruption.
    pub(super) fn permits(&self, control: InjectionControl) -> bool {
        let specification = control == InjectionControl::SPECIFICATION;
        match self {
            Self::Diag { code: 0x500, .. } | Self::Stsi { .. } | Self::Sthyi { .. } => true,
            Self::ChannelIo { .. } => true,
            Self::Diag { code: 0x288, .. } | Self::Diag308 { .. } | Self::Servc { .. } => specification,
            _ => false,
        }
    }

    /// The normalized form of an instruction that the host sees.
    pub(super) fn shape(&self) -> Shape {
        let diag = |code: u16, gr: &[(usize, u64)]| {
            let mut gr = gr.to_vec();
            gr.push((CODE, u64::from(code)));
            Shape { ipa: DIAG.0, ipb: DIAG.1, gr }
        };
        match self {
            Self::Diag { code: 0x44, .. } => diag(0x44, &[]),
            Self::Diag { code: 0x9c, gr } => diag(0x9c, &[(0, gr[0])]),
            Self::Diag { code: 0x500, gr } => diag(0x500, &[(1, gr[1]), (2, gr[2]), (3, gr[3]), (4, gr[4])]),
            Self::Diag { code, gr } => diag(*code, &[(0, gr[0]), (1, gr[1]), (2, gr[2])]),
            Self::Diag308 { subcode, address, .. } => diag(0x308, &[(0, *address), (2, *subcode)]),
            Self::Spx { .. } => Shape { ipa: 0xb210, ipb: 0x5000_0000, gr: vec![] },
            Self::Servc { command, .. } => {
                Shape { ipa: 0xb220, ipb: 0x0012_0000, gr: vec![(1, u64::from(*command)), (2, SCCB_DUMMY)] }
            }
            Self::Uvc { .. } => Shape { ipa: 0xb9a4, ipb: 0, gr: vec![] },
            Self::Sigp { order, cpu, parameter } => {
                let gr = vec![(1, *parameter), (2, u64::from(*cpu)), (CODE, u64::from(*order))];
                Shape { ipa: 0xae02, ipb: 0x5000_0000, gr }
            }
            Self::Stsi { gr0, gr1 } => {
                Shape { ipa: 0xb27d, ipb: 0x5000_0000, gr: vec![(0, u64::from(*gr0)), (1, u64::from(*gr1))] }
            }
            Self::Sthyi { code } => Shape { ipa: 0xb256, ipb: 0x0024_0000, gr: vec![(2, *code)] },
            Self::ChannelIo { opcode, subchannel, .. } => {
                Shape { ipa: *opcode, ipb: 0x5000_0000, gr: vec![(1, u64::from(*subchannel))] }
            }
            Self::Pqap { .. }
            | Self::Nqap { .. }
            | Self::Dqap { .. }
            | Self::SetMask { .. }
            | Self::SetCr { .. }
            | Self::Wait
            | Self::Interruptions
            | Self::SetGr { .. }
            | Self::Crash
            | Self::ProblemState(_) => Shape { ipa: 0, ipb: 0, gr: vec![] },
        }
    }
}

impl Machine {
    /// Lets the guest issue an instruction.
    pub(super) fn issue(
        &self,
        sd: &StateDescription,
        conf: &Arc<Conf>,
        cpu: &Cpu,
        core: &mut Core,
        insn: GuestInsn,
    ) -> Issue {
        let specification = Issue::Done(InsnResult::Exception(PgmCode::SPECIFICATION));
        match &insn {
            GuestInsn::Diag { code, gr } => {
                core.registers.gr[..5].copy_from_slice(gr);
                match code {
                    0x44 | 0x9c => self.leave(sd, core, insn, InterceptionCode::PV_NOTIFICATION, &[]),
                    0x288 | 0x500 => self.leave(sd, core, insn, InterceptionCode::PV_INSTRUCTION, &[]),
                    _ => specification,
                }
            }
            GuestInsn::Diag308 { subcode, address, ipib } => match subcode {
                0 | 1 => {
                    let clearing = *subcode == 0;
                    self.reset_asked(conf, cpu, clearing);
                    let exit = Exit::instruction(InterceptionCode::PV_NOTIFICATION, insn.shape());
                    core.pending = Pending::Retry;
                    Issue::Exit(exit)
                }
                5 | 6 if address & 0xfff != 0 => specification,
                3 | 5 | 6 => {
                    let (at, len) = if *subcode == 3 { (0, 0) } else { (*address, 0x1000) };
                    let reach = GuestView::new(self, conf).check(GuestAddr(at), len);
                    let ipib = ipib.clone();
                    match reach {
                        Ok(()) => self.leave(sd, core, insn, InterceptionCode::PV_INSTRUCTION, &ipib),
                        Err(ViewError::Host(interruption)) => Issue::Interrupted(interruption),
                        Err(ViewError::Outside | ViewError::Busy) => {
                            Issue::Done(InsnResult::Exception(PgmCode::ADDRESSING))
                        }
                    }
                }
                _ => specification,
            },
            GuestInsn::Uvc { block } => {
                let block = block.clone();
                match self.guest_call(conf, block) {
                    Called::Done(result) => Issue::Done(result),
                    Called::Interrupted(interruption) => Issue::Interrupted(interruption),
                    Called::Intercept(block) => {
                        let issue = self.leave(sd, core, insn, InterceptionCode::PV_NOTIFICATION, &block);
                        core.pending = Pending::Retry;
                        issue
                    }
                }
            }
            GuestInsn::Servc { sccb, .. } => self.servc(sd, conf, core, &insn, &sccb.clone()),
            GuestInsn::Spx { prefix } => {
                let prefix = prefix & 0x7fff_e000;
                if u64::from(prefix) + 0x2000 > conf.msl {
                    return Issue::Done(InsnResult::Exception(PgmCode::ADDRESSING));
                }
                core.registers.prefix = prefix;
                self.leave(sd, core, insn, InterceptionCode::PV_NOTIFICATION, &prefix.to_be_bytes())
            }
            GuestInsn::Sigp { .. } => self.signal(sd, conf, cpu, core, insn),
            GuestInsn::Stsi { .. } | GuestInsn::Sthyi { .. } => {
                self.leave(sd, core, insn, InterceptionCode::PV_INSTRUCTION, &[])
            }
            GuestInsn::ChannelIo { operand, .. } => {
                let operand = operand.clone();
                self.leave(sd, core, insn, InterceptionCode::PV_INSTRUCTION, &operand)
            }
            GuestInsn::Pqap { .. } | GuestInsn::Nqap { .. } | GuestInsn::Dqap { .. } => {
                match self.ap_instruction(conf, &insn) {
                    Ok(result) => Issue::Done(result),
                    Err(interruption) => Issue::Interrupted(interruption),
                }
            }
            GuestInsn::SetMask { mask } => set_mask(sd, core, *mask),
            GuestInsn::SetCr { number, value } => set_cr(sd, core, *number, *value),
            GuestInsn::SetGr { number, value } => {
                if let Some(gr) = core.registers.gr.get_mut(usize::from(*number)) {
                    *gr = *value;
                }
                Issue::Done(InsnResult::Done)
            }
            GuestInsn::Wait if core.delivered.is_empty() => Issue::Wait,
            GuestInsn::Wait | GuestInsn::Interruptions => {
                Issue::Done(InsnResult::Interruptions(core.delivered.drain(..).collect()))
            }
            GuestInsn::Crash => Issue::Exit(Exit::plain(InterceptionCode::PROGRAM)),
            GuestInsn::ProblemState(insn) if insn.is_privileged() => {
                Issue::Done(InsnResult::Exception(PgmCode::PRIVILEGED_OPERATION))
            }
            GuestInsn::ProblemState(insn) => {
                let insn = GuestInsn::clone(insn);
                self.issue(sd, conf, cpu, core, insn)
            }
        }
    }

    /// The guest exits with an instruction, its operand in the SIDA.
    pub(super) fn leave(
        &self,
        sd: &StateDescription,
        core: &mut Core,
        insn: GuestInsn,
        code: InterceptionCode,
        operand: &[u8],
    ) -> Issue {
        let sida = sd.sida();
        let fits = u64::try_from(operand.len()).is_ok_and(|len| len <= sida.size());
        let host = HostView(Arc::clone(&self.storage));
        if !fits || (!operand.is_empty() && host.write(sida.origin(), operand).is_err()) {
            return Issue::Exit(Exit::validity(Validity::SIDA));
        }
        let exit = Exit::instruction(code, insn.shape());
        core.pending = if code == InterceptionCode::PV_INSTRUCTION {
            Pending::Instruction(insn)
        } else {
            Pending::Notification(insn)
        };
        Issue::Exit(exit)
    }

    /// A service call: the SCCB must say a length that it has.
    fn servc(&self, sd: &StateDescription, conf: &Conf, core: &mut Core, insn: &GuestInsn, sccb: &[u8]) -> Issue {
        let stated = sccb.first_chunk::<2>().map_or(0, |len| usize::from(u16::from_be_bytes(*len)));
        if stated < 8 || stated > sccb.len() {
            conf.service_masked.store(false, Ordering::Release);
            return self.leave(sd, core, insn.clone(), InterceptionCode::PV_NOTIFICATION, &[]);
        }
        self.leave(sd, core, insn.clone(), InterceptionCode::PV_INSTRUCTION, sccb)
    }

    fn reset_asked(&self, conf: &Conf, cpu: &Cpu, clearing: bool) {
        let mut life = conf.life.lock();
        life.reset = Reset::Asked;
        life.clearing = clearing;
        life.initiator = Some(cpu.number);
    }

    /// Reads an operand back from the SIDA.
    pub(super) fn read_sida(&self, sd: &StateDescription, into: &mut [u8]) -> Result<(), Validity> {
        let sida = sd.sida();
        let fits = u64::try_from(into.len()).is_ok_and(|len| len <= sida.size());
        let host = HostView(Arc::clone(&self.storage));
        if fits && host.read(HostAddr(sida.origin().0), into).is_ok() { Ok(()) } else { Err(Validity::SIDA) }
    }
}

/// Loads the interruption masks. The host is told when it asked to be.
fn set_mask(sd: &StateDescription, core: &mut Core, mask: u64) -> Issue {
    let old = core.registers.psw;
    let new = old.mask.get() & !PSW_INTERRUPTIONS | mask & PSW_INTERRUPTIONS;
    core.registers.psw = Psw::new(new, old.address.get());
    let told = (old.mask.get() ^ new) & PSW_MACHINE_CHECK != 0 && sd.ictl.get() & fields::ICTL_LPSW != 0;
    told_or_done(core, told, InterceptionCode::MACHINE_CHECK_REQUEST, mask)
}

fn set_cr(sd: &StateDescription, core: &mut Core, number: u8, value: u64) -> Issue {
    if let Some(cr) = core.registers.cr.get_mut(usize::from(number)) {
        *cr = value;
    }
    let told = LCTL.iter().any(|(cr, bit)| *cr == number && sd.lctl.get() & bit != 0);
    told_or_done(core, told, InterceptionCode::INTERRUPT_ENABLE, value)
}

/// An instruction that is done, and that the host may have asked to be told about.
fn told_or_done(core: &mut Core, told: bool, code: InterceptionCode, value: u64) -> Issue {
    if !told {
        return Issue::Done(InsnResult::Done);
    }
    core.pending = Pending::Notification(GuestInsn::SetMask { mask: value });
    Issue::Exit(Exit::plain(code))
}
