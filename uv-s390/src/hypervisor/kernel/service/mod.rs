//! Instructions of a guest that the kernel serves itself.
//!
//! | instruction | ordinary CPU (0x04) | protected CPU | kernel |
//! |---|---|---|---|
//! | DIAG 0x44, 0x9c | yes | 108 | the time slice ends |
//! | DIAG 0x308 subcode 3, 4 | yes | 104 | reset exit |
//! | SIGP | yes | 108 | `sigp` |
//! | STSI | yes | 104 | `stsi` |
//! | STHYI | yes, or 0x2c | 104 | `sthyi` |
//! | channel I/O 0xb230–0xb23c, 0xb25f, 0xb274, 0xb276 | yes | 104 | `channel_io` |
//! | any of these in problem state | yes | | privileged-operation exception |
//! | others | yes | yes | user space |
//!
//! An ordinary CPU's operands are in its registers and its storage; a protected one's registers are in the save area, its
//! storage operands in the SIDA. What the kernel answers to a notification (108) does not reach the guest: the
//! Ultravisor has its own answer.
//!
//! The kernel here does not walk a guest's own page tables: an instruction with a storage operand of a guest that has
//! dynamic address translation on is user space's.

mod channel_io;
mod context;
mod sigp;
mod sthyi;
mod stsi;

use super::interrupt::PROGRAM_NEW_PSW;
use super::{HostError, Intercept, S390Exit, S390Vcpu, VmOptions};
use crate::abi::psw::{PSW_DAT, PSW_PROBLEM, PSW_SPACE, PSW_WAIT};
use crate::abi::sie::{InterceptionCode, StateDescription};
use crate::abi::uvc::PgmCode;
use crate::hypervisor::kernel::diag308::{self, Handled};
pub use channel_io::SubchannelTest;
use context::Context;
pub use stsi::SystemInformationRequest;

/// IPA of STHYI.
const STHYI: u16 = 0xb256;

/// What the kernel did about an instruction.
pub(super) enum Service {
    /// Served, or answered with an exception: the guest goes on.
    Done,
    /// Not the kernel's.
    UserSpace,
    /// User space has to act, and is told what the kernel did.
    Exit(S390Exit),
}

impl S390Vcpu {
    /// Serves an intercepted instruction; `None` when the guest can go on.
    pub(super) fn instruction(&self, state: &StateDescription) -> Result<Option<S390Exit>, HostError> {
        let intercept = self.intercept(state);
        Ok(match self.served(&Context::new(self, state), &intercept)? {
            Service::Done => None,
            Service::Exit(exit) => Some(exit),
            Service::UserSpace if intercept.code == InterceptionCode::PV_NOTIFICATION => {
                Some(S390Exit::Notification(intercept))
            }
            Service::UserSpace => Some(S390Exit::Instruction(intercept)),
        })
    }

    fn served(&self, insn: &Context<'_>, intercept: &Intercept) -> Result<Service, HostError> {
        let low = intercept.ipa & 0xff;
        let known = match intercept.ipa >> 8 {
            0x83 | 0xae => true,
            // STHYI is no privileged instruction.
            0xb2 => matches!(low, 0x30..=0x3c | 0x5f | 0x74 | 0x76 | 0x7d),
            _ => false,
        };
        if known && insn.state.psw.mask.get() & PSW_PROBLEM != 0 {
            return insn.exception(PgmCode::PRIVILEGED_OPERATION);
        }
        match (intercept.ipa >> 8, low) {
            (0x83, _) => self.diagnose(intercept),
            (0xae, _) => self.sigp(insn),
            (0xb2, 0x7d) => self.stsi(insn),
            (0xb2, 0x56) => self.sthyi(insn),
            (0xb2, _) if known => self.channel_io(insn),
            _ => Ok(Service::UserSpace),
        }
    }

    fn diagnose(&self, intercept: &Intercept) -> Result<Service, HostError> {
        Ok(match intercept.diagnose() {
            Some(0x44 | 0x9c) => Service::Exit(S390Exit::Yield(*intercept)),
            Some(0x308) => match diag308::handle(intercept.gr_r3()) {
                Handled::Exit(flags) => {
                    self.vm().stop_unless_user(self.cpu())?;
                    Service::Exit(S390Exit::Reset(flags))
                }
                Handled::UserSpace => Service::UserSpace,
            },
            _ => Service::UserSpace,
        })
    }

    /// Interception 0x2c: STHYI of a machine that does not have it is served; an instruction 0x0000 is user space's if it
    /// asked; so is a program-new PSW that leads straight back to the same instruction. All others are the guest's matter.
    pub(super) fn operation_exception(&self, state: &StateDescription) -> Result<Option<S390Exit>, HostError> {
        let insn = Context::new(self, state);
        let other = || Ok(Some(S390Exit::Other(self.intercept(state))));
        match state.ipa.get() {
            STHYI => return Ok(if let Service::Exit(exit) = self.sthyi(&insn)? { Some(exit) } else { None }),
            0 if self.vm().options().contains(VmOptions::USER_INSTR0) => return other(),
            _ => {}
        }
        let (old, new) = (state.psw, insn.prefix_psw(PROGRAM_NEW_PSW)?);
        let (old_mask, new_mask) = (old.mask.get(), new.mask.get());
        let same_space = (old_mask ^ new_mask) & (PSW_DAT | PSW_SPACE) == 0;
        let near = old.address.get().wrapping_sub(new.address.get()) <= 6;
        if near && same_space && new_mask & PSW_WAIT == 0 && old_mask & PSW_PROBLEM == 0 {
            return other();
        }
        insn.exception(PgmCode::OPERATION).map(|_| None)
    }
}
