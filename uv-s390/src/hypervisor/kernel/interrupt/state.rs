//! What is pending for one CPU, as user space saves it and sets it again.

use alloc::vec::Vec;

use super::{Irq, Local};
use crate::hypervisor::kernel::{HostError, Vm};

impl Local {
    /// Whether nothing is pending.
    fn is_empty(&self) -> bool {
        self.list().is_empty()
    }

    /// All that is pending, in KVM's order; emergency signals come last.
    fn list(&self) -> Vec<Irq> {
        let stop = if self.stores_status { Irq::StopAndStoreStatus } else { Irq::Stop };
        let check = Irq::MachineCheck(self.machine_check);
        [
            self.prefix.map(|address| Irq::SetPrefix { address }),
            self.restart.then_some(Irq::Restart),
            self.stop.then_some(stop),
            self.cpu_timer.then_some(Irq::CpuTimer),
            self.clock_comparator.then_some(Irq::ClockComparator),
            self.external_call.map(|source| Irq::ExternalCall { source }),
            self.repressible.then_some(check),
            self.program.map(Irq::Program),
            self.exigent.then_some(check),
        ]
        .into_iter()
        .flatten()
        .chain(self.emergency.iter().map(|source| Irq::Emergency { source: *source }))
        .collect()
    }
}

impl Vm {
    /// What is pending for a CPU.
    ///
    /// # Errors
    /// [`HostError::Cpu`].
    pub fn pending_interruptions(&self, number: u16) -> Result<Vec<Irq>, HostError> {
        Ok(self.cpu(number)?.local.lock().list())
    }

    /// Makes interruptions pending for a CPU for which none is; those before one that is refused stay.
    ///
    /// # Errors
    /// [`HostError::InterruptionPending`] when something is pending already; those of [`Vm::inject`].
    pub fn set_pending_interruptions(&self, number: u16, irqs: &[Irq]) -> Result<(), HostError> {
        if !self.cpu(number)?.local.lock().is_empty() {
            return Err(HostError::InterruptionPending);
        }
        irqs.iter().try_for_each(|irq| self.inject(Some(number), *irq))
    }
}
