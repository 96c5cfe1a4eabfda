//! The toy as a backend of the suite.

use std::sync::Arc;

use uv_conformance::{Ability, Backend, Host, Refusal, Script, Setup, TEST_PAGES};
use uv_core::Gfn;

use super::machine::{IMAGE, Machine, NOT_SEALED, ToyError};
use super::{Fault, ToyCpu, ToyVm};

/// Secure pages when there are enough.
const FRAMES: u64 = 256;

/// A toy machine with two VMs.
pub struct Toy {
    machine: Arc<Machine>,
    vms: [ToyVm; 2],
    script: [Script; 2],
}

impl core::fmt::Debug for Toy {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Toy({:?})", self.machine.fault)
    }
}

impl Toy {
    /// A machine, right or with a fault.
    #[must_use]
    pub fn new(fault: Option<Fault>, setup: &Setup) -> Self {
        let frames = if setup.tight { IMAGE + TEST_PAGES / 2 - 2 } else { FRAMES };
        let machine = Arc::new(Machine::new(fault, frames));
        let vms = [0, 1].map(|index| ToyVm::new(&machine, index));
        vms[0].knows(&vms[1]);
        vms[1].knows(&vms[0]);
        Self { machine, vms, script: Default::default() }
    }
}

impl Backend for Toy {
    type Error = ToyError;
    type Vm = ToyVm;
    type Cpu = ToyCpu;

    fn abilities(&self) -> &[Ability] {
        if self.vms[0].asking() {
            return &[Ability::PageOut, Ability::AcceptSharing, Ability::DestroyPages];
        }
        &[Ability::PageOut, Ability::SharePages, Ability::DestroyPages, Ability::LimitedMemory, Ability::RawCodes]
    }

    fn sharing_keeps_content(&self) -> bool {
        true
    }

    fn vm(&self, index: usize) -> &ToyVm {
        &self.vms[index]
    }

    fn boot(&self, index: usize, refusal: Option<&str>) -> ToyCpu {
        let script = self.script[index].clone();
        script.clear();
        ToyCpu::new(self.vms[index].clone(), script, refusal.is_none())
    }

    fn refusals(&self) -> Vec<&'static str> {
        if self.machine.has(Fault::NoRefusals) { Vec::new() } else { vec!["a bad image"] }
    }

    fn test_pages(&self) -> Gfn {
        Gfn(IMAGE)
    }

    fn host(&self) -> Host<'_> {
        &self.machine.host
    }

    fn script(&self, index: usize) -> &Script {
        &self.script[index]
    }

    fn code(&self, refusal: Refusal) -> Option<&'static str> {
        matches!(refusal, Refusal::Tampered).then_some(NOT_SEALED)
    }
}
