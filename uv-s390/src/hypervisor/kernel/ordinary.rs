//! Running an ordinary CPU: registers around SIE, and what KVM serves of its exits.

use uv_core::{Exit, HostAddr, NormalMemory};

use super::{HostError, Intercept, S390Exit, S390Vcpu, wait};
use crate::abi::sie::{InterceptionCode, StateDescription};
use crate::abi::uvc::ProgramInterruption;
use crate::hypervisor::kernel::diag308::{self, Handled};

/// Place of GR14 and GR15 in the state description.
const GR14: u64 = 0xa0;

impl S390Vcpu {
    /// Enters the guest with its general registers: 0 to 13 go with the instruction, 14 and 15 through the state description.
    /// Nothing else of that is written, for other host CPUs set flags in it.
    pub(super) fn enter_ordinary(&self, asce: u64) -> Result<Result<(), ProgramInterruption>, HostError> {
        let hardware = &self.guest().host.hardware;
        let block = self.cpu().block.origin();
        let mut grs = self.cpu().registers.lock().grs;
        let mut high = [0; 16];
        high[..8].copy_from_slice(&grs[14].to_be_bytes());
        high[8..].copy_from_slice(&grs[15].to_be_bytes());
        hardware.memory.write(HostAddr(block.0 + GR14), &high)?;
        let left = hardware.sie.enter(block, asce, &mut grs);
        let state = hardware.read_state(block)?;
        (grs[14], grs[15]) = (state.gr14.get(), state.gr15.get());
        self.cpu().registers.lock().grs = grs;
        Ok(left)
    }

    /// KVM's part of an exit of an ordinary CPU. What it does not serve is user space's, which is told of every other
    /// instruction.
    ///
    /// | exit | kernel |
    /// |---|---|
    /// | DIAG 0x44, 0x9c | the time slice ends |
    /// | SIGP emergency signal | it is pending at the target, `None` |
    /// | DIAG 0x308 subcodes 3, 4 | reset exit, CPU stopped |
    /// | stop request | CPU stopped |
    /// | request for an interruption, wait that one ends | it is delivered, `None` |
    ///
    /// The CPU is stopped unless user space has the CPU states.
    pub(super) fn ordinary_exit(&self, state: &StateDescription) -> Result<Option<Exit<S390Exit>>, HostError> {
        let intercept = Intercept::ordinary(state, &self.registers());
        Ok(Some(match intercept.code {
            InterceptionCode::VALIDITY => {
                return Err(state.validity().map_or(HostError::CannotRun, HostError::Validity));
            }
            InterceptionCode::WAIT => {
                self.guest().mark_waiting(self.cpu(), wait::is_enabled_wait(state))?;
                if self.guest().is_runnable(self.cpu())? {
                    return Ok(None);
                }
                Exit::Halted
            }
            InterceptionCode::EXTERNAL_REQUEST | InterceptionCode::IO_REQUEST => return Ok(None),
            InterceptionCode::STOP if !self.guest().stops(self.cpu())? => return Ok(None),
            InterceptionCode::STOP => {
                self.guest().stop_unless_user(self.cpu())?;
                Exit::Arch(S390Exit::Stop)
            }
            InterceptionCode::INSTRUCTION if self.guest().signalled(self.cpu(), state)? => return Ok(None),
            InterceptionCode::INSTRUCTION => Exit::Arch(match intercept.diagnose() {
                Some(0x44 | 0x9c) => S390Exit::Yield(intercept),
                Some(0x308) => match diag308::handle(intercept.gr_r3()) {
                    Handled::Exit(flags) => {
                        self.guest().stop_unless_user(self.cpu())?;
                        S390Exit::Reset(flags)
                    }
                    Handled::UserSpace => S390Exit::Instruction(intercept),
                },
                _ => S390Exit::Instruction(intercept),
            }),
            _ => Exit::Arch(S390Exit::Other(intercept)),
        }))
    }
}
