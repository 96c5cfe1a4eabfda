//! Whether CPUs are stopped or operating, and who says so.
//!
//! A VM begins with states that the kernel keeps: running a stopped CPU starts it, and what stops a CPU (a stop request, a
//! reset, the reset exit) stops it. The first PV command and the first setting of a state hand the states to user space, for
//! good: from then on a stopped CPU cannot be run, and nothing but user space changes a state. A protected VM's states are
//! always user space's.

use core::sync::atomic::Ordering;

use super::cpu::{Cpu, secure_handle};
use super::{HostError, Vm};
use crate::abi::sie::ExecutionControl;
use crate::abi::uvcb::CpuState;

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

impl Vm {
    /// Hands the CPU states to user space. Done by every PV command and by [`Vm::set_mp_state`].
    pub fn take_cpu_states(&self) {
        self.user_states.store(true, Ordering::Release);
    }

    /// Whether user space sets the states of the CPUs.
    #[must_use]
    pub fn has_user_cpu_states(&self) -> bool {
        self.user_states.load(Ordering::Acquire)
    }

    /// Sets the state of a CPU. Stopped and operating do nothing when the CPU is in that state already. Whatever comes of it,
    /// the states are user space's from now on.
    ///
    /// # Errors
    /// [`HostError::Cpu`] also for check-stop; [`HostError::NotProtected`] for load on an ordinary VM; [`HostError::Call`] of
    /// CPU_SET_STATE: the state is as before.
    pub fn set_mp_state(&self, number: u16, state: MpState) -> Result<(), HostError> {
        self.take_cpu_states();
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
        if cpu.is_protected() {
            self.set_cpu_state(number, target)?;
        }
        *stopped = becomes_stopped;
        self.stop_was_processed(&cpu, becomes_stopped)
    }

    /// Whether the host's book-keeping has the CPU stopped.
    ///
    /// # Errors
    /// [`HostError::Cpu`].
    pub fn is_stopped(&self, number: u16) -> Result<bool, HostError> {
        Ok(*self.cpu(number)?.stopped.lock())
    }

    /// What running a CPU begins with: a stopped one is started, unless user space has the states.
    pub(super) fn start_to_run(&self, cpu: &Cpu) -> Result<(), HostError> {
        let mut stopped = cpu.stopped.lock();
        if self.has_user_cpu_states() {
            return if *stopped { Err(HostError::CannotRun) } else { Ok(()) };
        }
        *stopped = false;
        Ok(())
    }

    /// Stops a CPU for what the guest or a reset did, unless user space has the states.
    pub(super) fn stop_unless_user(&self, cpu: &Cpu) -> Result<(), HostError> {
        if self.has_user_cpu_states() {
            return Ok(());
        }
        *cpu.stopped.lock() = true;
        self.stop_was_processed(cpu, true)
    }

    /// A CPU that has stopped has no stop request any more.
    fn stop_was_processed(&self, cpu: &Cpu, stopped: bool) -> Result<(), HostError> {
        if !stopped {
            return Ok(());
        }
        cpu.local.lock().stop = false;
        self.change_flags(cpu, |flags| flags - ExecutionControl::STOP_INTERCEPT)
    }
}
