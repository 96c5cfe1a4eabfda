//! Which CPUs wait, and who wakes them.
//!
//! KVM keeps the wait flag in the state description on for as long as it has a CPU in an enabled wait, and off while it runs
//! it. The machine looks at the flag of the target of an external call: when it is on, the source leaves with interception
//! 0x38 after the machine has made the call pending, and all that is left to do is to run the target.

use super::cpu::Cpu;
use super::{HostError, Vm};
use crate::abi::psw::PSW_INTERRUPTIONS;
use crate::abi::sie::{ExecutionControl, StateDescription};
use uv_core::HostAddr;

impl Vm {
    /// Sets or clears the wait flag of a CPU. It is no part of what the machine stores, and nothing else in its word changes.
    ///
    /// # Errors
    /// [`HostError::Access`].
    pub(super) fn mark_waiting(&self, cpu: &Cpu, waiting: bool) -> Result<(), HostError> {
        self.change_flags(cpu, |mut flags| {
            flags.set(ExecutionControl::WAIT, waiting);
            flags
        })
    }

    /// The CPU flags as they are now.
    pub(super) fn flags(&self, cpu: &Cpu) -> Result<ExecutionControl, HostError> {
        let mut word = [0; 4];
        self.host.hardware.memory.read(HostAddr(cpu.block.origin().0), &mut word)?;
        Ok(ExecutionControl::from_bits_retain(u32::from_be_bytes(word)))
    }

    /// Changes the CPU flags, and nothing else of the state description.
    ///
    /// # Errors
    /// [`HostError::Access`].
    pub(super) fn change_flags(
        &self,
        cpu: &Cpu,
        change: impl FnOnce(ExecutionControl) -> ExecutionControl,
    ) -> Result<(), HostError> {
        let _lock = cpu.flags.lock();
        let old = self.flags(cpu)?;
        let new = change(old);
        if new != old {
            let at = HostAddr(cpu.block.origin().0);
            self.host.hardware.memory.write(at, &new.bits().to_be_bytes())?;
        }
        Ok(())
    }
}

/// Whether something can end the wait of a CPU that has left with interception 0x1c.
pub(super) fn is_enabled_wait(state: &StateDescription) -> bool {
    state.psw.mask.get() & PSW_INTERRUPTIONS != 0
}
