//! Restart of a CPU: how SIGP restart, or an operator, sets a CPU to work.

use uv_core::GuestAddr;
use zerocopy::{FromZeros, IntoBytes};

use super::{Guest, HostError};
use crate::psw::Psw;
use crate::sie::InjectionControl;

/// Restart-old PSW in the prefix area.
const RESTART_OLD: u64 = 0x120;
/// Restart-new PSW in the prefix area.
const RESTART_NEW: u64 = 0x1a0;

impl Guest {
    /// Delivers a restart interruption to a CPU that does not run.
    ///
    /// For an ordinary CPU the kernel swaps PSWs as it does for every interruption: the old one goes to the prefix area, the
    /// restart-new one into the state description, where the next entry begins. For a protected CPU the Ultravisor is asked
    /// for the injection at the next entry.
    ///
    /// # Errors
    /// [`HostError::Cpu`]; [`HostError::Access`] without storage at the prefix area: nothing was changed.
    pub fn restart(&self, number: u16) -> Result<(), HostError> {
        let cpu = self.cpu(number)?;
        if self.is_protected() {
            return self.change_cpu_registers(&cpu, |_, state| state.iictl = InjectionControl::RESTART.0);
        }
        let state = self.host.hardware.read_state(cpu.block.origin())?;
        let storage = self.storage();
        let mut new = Psw::new_zeroed();
        storage.read(GuestAddr(state.prefix_address() + RESTART_NEW), new.as_mut_bytes())?;
        storage.write(GuestAddr(state.prefix_address() + RESTART_OLD), state.psw.as_bytes())?;
        self.change_cpu_registers(&cpu, |_, state| state.psw = new)
    }
}
