//! Before and after each entry: what is deliverable goes to the CPU, for the rest the machine is asked to leave in time.

use super::enabled::Enabled;
use super::priority::{Kind, View};
use super::{Floating, Local};
use crate::abi::psw::PSW_INTERRUPTIONS;
use crate::abi::sie::{ExecutionControl, InjectionControl, InterceptionCode, StateDescription};
use crate::hypervisor::kernel::cpu::Cpu;
use crate::hypervisor::kernel::{HostError, StatusPlace, Vm};
use spin::MutexGuard;

impl Vm {
    /// Delivers what the CPU is enabled for. Of a protected CPU one interruption with each entry, of an ordinary one all, the one
    /// of the highest priority first; each of them loads the new PSW, so that the next one meets other masks.
    ///
    /// # Errors
    /// [`HostError::InterruptionRefused`] for a program interruption that a protected CPU cannot take: it is gone then;
    /// [`HostError::Access`] without storage at the prefix area.
    pub(in crate::hypervisor::kernel) fn deliver(&self, cpu: &Cpu) -> Result<(), HostError> {
        // In this order: what is made pending after this is found below, or sets its flag after this.
        self.take_requests_back(cpu)?;
        let mut floating = self.floating.lock();
        let mut local = cpu.local.lock();
        let protected = cpu.is_protected();
        loop {
            let state = self.host.hardware.read_state(cpu.block.origin())?;
            let view = self.view(&mut local, &mut floating, &state, protected);
            let Some(kind) = view.next() else { return self.request(cpu, &view) };
            tracing::trace!(cpu = cpu.number, ?kind, protected, "interruption");
            if kind == Kind::SetPrefix {
                let prefix = view.local.prefix.take().unwrap_or_default();
                self.host.hardware.update_state(cpu.block.origin(), |state| state.set_prefix_address(prefix))?;
            } else if protected {
                self.deliver_protected(cpu, view, kind)?;
            } else {
                self.deliver_ordinary(cpu, view, kind, &state)?;
            }
        }
    }

    /// Whether the CPU would leave a wait: something can be delivered, or a stop is requested.
    pub(in crate::hypervisor::kernel) fn is_runnable(&self, cpu: &Cpu) -> Result<bool, HostError> {
        Ok(self.has_deliverable(cpu)? || cpu.local.lock().stop)
    }

    /// Whether something can be delivered with the next entry.
    pub(in crate::hypervisor::kernel) fn has_deliverable(&self, cpu: &Cpu) -> Result<bool, HostError> {
        let state = self.host.hardware.read_state(cpu.block.origin())?;
        let mut floating = self.floating.lock();
        let mut local = cpu.local.lock();
        Ok(self.view(&mut local, &mut floating, &state, cpu.is_protected()).next().is_some())
    }

    /// Whether an exit with code 0x28 is a stop. Not before everything deliverable was delivered, and not when the CPU was only
    /// to leave the guest. A stop that stores the status has done so then.
    pub(in crate::hypervisor::kernel) fn stops(&self, cpu: &Cpu) -> Result<bool, HostError> {
        if self.has_deliverable(cpu)? {
            return Ok(false);
        }
        let mut local = cpu.local.lock();
        let kicked = core::mem::take(&mut local.kicked);
        if kicked && !local.stop {
            self.change_flags(cpu, |flags| flags - ExecutionControl::STOP_INTERCEPT)?;
            return Ok(false);
        }
        let stores_status = core::mem::take(&mut local.stores_status);
        drop(local);
        if stores_status {
            self.store_cpu_status(cpu, StatusPlace::Absolute)?;
        }
        Ok(true)
    }

    /// Takes note of how a protected CPU left the guest; `None` when the host took a program interruption instead.
    ///
    /// After a 104 and a 112 the next entry goes on with something, and nothing may be injected: the kernel masks
    /// interruptions in its copy of the PSW.
    pub(in crate::hypervisor::kernel) fn left(
        &self,
        cpu: &Cpu,
        state: Option<&StateDescription>,
    ) -> Result<(), HostError> {
        let code = state.map(StateDescription::interception);
        cpu.local.lock().entry.left(code);
        if matches!(code, Some(InterceptionCode::PV_INSTRUCTION | InterceptionCode::PV_PREFIX)) {
            self.mask_interruptions(cpu)?;
        }
        Ok(())
    }

    /// The CPU was started. What PSW it has is not known before its next exit.
    pub(in crate::hypervisor::kernel) fn started(&self, cpu: &Cpu) -> Result<(), HostError> {
        cpu.local.lock().started();
        self.mask_interruptions(cpu)
    }

    /// Masks interruptions in the kernel's copy of a protected CPU's PSW.
    fn mask_interruptions(&self, cpu: &Cpu) -> Result<(), HostError> {
        let mask = self.host.hardware.read_state(cpu.block.origin())?.psw.mask.get() & !PSW_INTERRUPTIONS;
        self.store(cpu, core::mem::offset_of!(StateDescription, psw), &mask.to_be_bytes())
    }

    fn view<'a>(
        &self,
        local: &'a mut MutexGuard<'_, Local>,
        floating: &'a mut MutexGuard<'_, Floating>,
        state: &StateDescription,
        protected: bool,
    ) -> View<'a> {
        let occupied = protected && state.injection() != InjectionControl::NONE;
        View { local, floating, enabled: Enabled::of(state), protected, occupied }
    }
}
