//! Asking the machine to leave the guest when it opens a mask for what is pending.
//!
//! | pending | mask in the PSW closed | open, but not the subclass mask |
//! |---|---|---|
//! | external | CPU flag "external interruption" | a load of control register 0 |
//! | I/O | CPU flag "I/O interruption" | a load of control register 6 |
//! | machine check | a change of PSW bit 13 | a load of control register 14 |
//! | stop | CPU flag "stop" | the same |
//!
//! A flag is looked at while the guest runs; the load controls count from the next entry on. What is open in both places and
//! has to wait for another entry, since one was injected, sets the flag too (UNSURE: KVM leaves it to the next exit).

use core::mem::offset_of;

use uv_core::HostAddr;

use super::priority::{Class, View};
use crate::abi::sie::fields::{ICTL_LPSW, LCTL_CR0, LCTL_CR6, LCTL_CR14};
use crate::abi::sie::{ExecutionControl, StateDescription};
use crate::hypervisor::kernel::cpu::Cpu;
use crate::hypervisor::kernel::{HostError, Vm};

/// Flags that are requests for what is pending.
const REQUESTS: ExecutionControl = ExecutionControl::EXTERNAL_INTERCEPT.union(ExecutionControl::IO_INTERCEPT);

impl Vm {
    /// Takes back what was asked for. A stop that is requested stays.
    pub(super) fn take_requests_back(&self, cpu: &Cpu) -> Result<(), HostError> {
        self.change_flags(cpu, |flags| flags - REQUESTS)?;
        self.store_controls(cpu, 0, 0)
    }

    /// Asks for what is pending.
    pub(super) fn request(&self, cpu: &Cpu, view: &View<'_>) -> Result<(), HostError> {
        let (mut flags, mut lctl, mut ictl) = (ExecutionControl::empty(), 0, 0);
        if view.has_pending(Class::External) {
            if view.enabled.external() {
                lctl |= LCTL_CR0;
            }
            flags.set(ExecutionControl::EXTERNAL_INTERCEPT, !view.enabled.external() || view.has_open(Class::External));
        }
        if view.has_pending(Class::Io) {
            if view.enabled.io() {
                lctl |= LCTL_CR6;
            }
            flags.set(ExecutionControl::IO_INTERCEPT, !view.enabled.io() || view.has_open(Class::Io));
        }
        if view.has_pending(Class::MachineCheck) {
            if view.enabled.machine_check() {
                lctl |= LCTL_CR14;
            } else {
                ictl |= ICTL_LPSW;
            }
        }
        if view.local.stop {
            flags |= ExecutionControl::STOP_INTERCEPT;
        }
        if lctl != 0 || ictl != 0 {
            self.store_controls(cpu, lctl, ictl)?;
        }
        self.change_flags(cpu, |old| old | flags)
    }

    /// Stores LCTL, and of ICTL what is asked for here.
    fn store_controls(&self, cpu: &Cpu, lctl: u16, ictl: u32) -> Result<(), HostError> {
        let mut old = [0; 4];
        let at = offset_of!(StateDescription, ictl);
        self.host.hardware.memory.read(place(cpu, at), &mut old)?;
        let new = u32::from_be_bytes(old) & !ICTL_LPSW | ictl;
        self.store(cpu, at, &new.to_be_bytes())?;
        self.store(cpu, offset_of!(StateDescription, lctl), &lctl.to_be_bytes())
    }

    /// Stores a field of a state description, and nothing that another host CPU may be changing.
    pub(in crate::hypervisor::kernel) fn store(&self, cpu: &Cpu, offset: usize, field: &[u8]) -> Result<(), HostError> {
        Ok(self.host.hardware.memory.write(place(cpu, offset), field)?)
    }
}

fn place(cpu: &Cpu, offset: usize) -> HostAddr {
    HostAddr(cpu.block.origin().0.saturating_add(u64::try_from(offset).unwrap_or(0)))
}
