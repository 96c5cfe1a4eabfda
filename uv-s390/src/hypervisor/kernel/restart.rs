//! Restart of a CPU: how SIGP restart, or an operator, sets a CPU to work.

use super::{HostError, Irq, Vm};

impl Vm {
    /// Makes a restart interruption pending. It is delivered before the CPU enters the guest: an ordinary one gets its
    /// restart-new PSW from the kernel, of a protected one the Ultravisor loads it.
    ///
    /// # Errors
    /// [`HostError::Cpu`].
    pub fn restart(&self, number: u16) -> Result<(), HostError> {
        self.inject(Some(number), Irq::Restart)
    }
}
