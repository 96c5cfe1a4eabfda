//! Resets of a VM's CPUs, and of a protected VM.

use super::cpu::secure_handle;
use super::registers::reset_state;
use super::{HostError, Vm};
use crate::abi::uvcb::{NoData, UvCommand};

/// Kind of a CPU reset; each one does what the one before it does, and more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CpuReset {
    /// Normal: pending interruptions are cleared.
    Normal,
    /// Initial: PSW, control registers, timers as well.
    Initial,
    /// Clear: all registers as well.
    Clear,
}

impl CpuReset {
    const fn command(self) -> UvCommand {
        match self {
            Self::Normal => UvCommand::CPU_RESET,
            Self::Initial => UvCommand::CPU_RESET_INITIAL,
            Self::Clear => UvCommand::CPU_RESET_CLEAR,
        }
    }
}

impl Vm {
    /// SET_UNSHARE_ALL: all shared pages become private again. All CPUs must be stopped.
    ///
    /// # Errors
    /// [`HostError::NotProtected`], [`HostError::Call`].
    pub fn unshare_all(&self) -> Result<(), HostError> {
        self.configuration_call(UvCommand::SET_UNSHARE_ALL)
    }

    /// PREPARE_RESET of the configuration: the next operating-load takes the PSW at guest absolute 0.
    ///
    /// # Errors
    /// [`HostError::NotProtected`], [`HostError::Call`].
    pub fn prepare_reset(&self) -> Result<(), HostError> {
        self.configuration_call(UvCommand::PREPARE_RESET)
    }

    fn configuration_call(&self, command: UvCommand) -> Result<(), HostError> {
        let _lock = self.lock.lock();
        let handle = self.handle()?;
        Ok(self.host.call(&mut NoData::new(command, handle))?)
    }

    /// Resets a CPU: the kernel's own part, then for a protected VM the matching call. The CPU is stopped afterwards, unless
    /// user space has the CPU states: then it is as it was.
    ///
    /// # Errors
    /// [`HostError::Cpu`], [`HostError::Call`].
    pub fn reset_cpu(&self, number: u16, reset: CpuReset) -> Result<(), HostError> {
        let cpu = self.cpu(number)?;
        self.change_cpu_registers(&cpu, |registers, state| {
            registers.reset(reset);
            reset_state(state, reset);
        })?;
        cpu.local.lock().reset();
        self.stop_unless_user(&cpu)?;
        match secure_handle(&cpu) {
            Ok(handle) => Ok(self.host.call(&mut NoData::new(reset.command(), handle))?),
            Err(_) => Ok(()),
        }
    }
}
