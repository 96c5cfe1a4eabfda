//! Resets of a protected VM and of its CPUs.

use super::cpu::secure_handle;
use super::{Guest, HostError};
use crate::abi::{CpuState, NoData, UvCommand};
use crate::sie::ExecutionControl;

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

/// State of a CPU as user space sets it (KVM's multiprocessing states).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, num_enum::IntoPrimitive, num_enum::TryFromPrimitive)]
#[repr(u32)]
pub enum MpState {
    /// Stopped.
    Stopped = 5,
    /// Check-stop; cannot be set.
    CheckStop = 6,
    /// Operating.
    Operating = 7,
    /// Load the start PSW; a protected VM only.
    Load = 8,
}

impl Guest {
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

    /// Resets a CPU: the kernel's own part, then for a protected VM the matching call.
    ///
    /// # Errors
    /// [`HostError::Cpu`], [`HostError::Call`].
    pub fn reset_cpu(&self, number: u16, reset: CpuReset) -> Result<(), HostError> {
        let cpu = self.cpu(number)?;
        self.host.hardware.update_state(cpu.block.origin(), |state| {
            state.iictl = 0;
            state.cpu_flags = (state.cpu_flags.get() & !ExecutionControl::WAIT.bits()).into();
            if reset != CpuReset::Normal {
                // The Ultravisor takes a protected CPU's prefix back to 0, and is to find both prefix pages there.
                state.psw = crate::psw::Psw::new(0, 0);
                state.set_prefix_address(0);
                state.cpu_timer = 0.into();
                state.clock_comparator = 0.into();
            }
        })?;
        match secure_handle(&cpu) {
            Ok(handle) => Ok(self.host.call(&mut NoData::new(reset.command(), handle))?),
            Err(_) => Ok(()),
        }
    }

    /// Sets the state of a CPU. Stopped and operating do nothing when the CPU is in that state already.
    ///
    /// # Errors
    /// [`HostError::Cpu`] also for check-stop; [`HostError::NotProtected`] for load on an ordinary VM; [`HostError::Call`] of
    /// CPU_SET_STATE: the state is as before.
    pub fn set_mp_state(&self, number: u16, state: MpState) -> Result<(), HostError> {
        let cpu = self.cpu(number)?;
        let mut stopped = cpu.stopped.lock();
        let (target, becomes_stopped) = match state {
            MpState::Stopped if *stopped => return Ok(()),
            MpState::Operating if !*stopped => return Ok(()),
            MpState::Stopped => (CpuState::STOPPED, true),
            MpState::Operating => (CpuState::OPERATING, false),
            MpState::Load => {
                secure_handle(&cpu)?;
                (CpuState::OPERATING_LOAD, *stopped)
            }
            MpState::CheckStop => return Err(HostError::Cpu(number)),
        };
        if self.is_protected() {
            self.set_cpu_state(number, target)?;
        }
        *stopped = becomes_stopped;
        Ok(())
    }

    /// Whether the host's book-keeping has the CPU stopped.
    ///
    /// # Errors
    /// [`HostError::Cpu`].
    pub fn is_stopped(&self, number: u16) -> Result<bool, HostError> {
        Ok(*self.cpu(number)?.stopped.lock())
    }
}
