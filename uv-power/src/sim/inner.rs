//! The data of a machine: what every call and every virtual CPU reaches.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use spin::RwLock;
use uv_core::{MemSlots, NormalMemory};

use super::config::MachineConfig;
use super::platform::Platform;
use super::svm::Svm;
use super::vcpu::insn::GuestProgram;
use super::vcpu::state::Vcpu;
use crate::abi::regs::Lpid;

/// Platform, VMs, virtual CPUs and the memory of partitions that are not secure.
pub(crate) struct Inner {
    pub(crate) platform: Arc<Platform>,
    svms: RwLock<BTreeMap<Lpid, Arc<Svm>>>,
    vcpus: RwLock<BTreeMap<(Lpid, u32), Arc<Vcpu>>>,
    partitions: RwLock<BTreeMap<Lpid, MemSlots>>,
}

impl Inner {
    pub(crate) fn new(config: MachineConfig, memory: Arc<dyn NormalMemory>) -> Self {
        Self {
            platform: Arc::new(Platform::new(config, memory)),
            svms: RwLock::default(),
            vcpus: RwLock::default(),
            partitions: RwLock::default(),
        }
    }

    /// The numbers of the partitions that have an object.
    pub(crate) fn lpids(&self) -> alloc::vec::Vec<u32> {
        self.svms.read().keys().map(|lpid| lpid.0).collect()
    }

    /// Gives a virtual CPU its program, in place of one of that number that was there.
    pub(crate) fn add_vcpu(&self, lpid: Lpid, id: u32, program: GuestProgram) {
        self.vcpus.write().insert((lpid, id), Arc::new(Vcpu::new(lpid, id, program)));
    }

    /// What lies behind the guest addresses of a partition; `None` takes it away.
    pub(crate) fn set_partition_memory(&self, lpid: Lpid, slots: Option<&MemSlots>) {
        let mut partitions = self.partitions.write();
        match slots {
            Some(slots) => partitions.insert(lpid, slots.clone()),
            None => partitions.remove(&lpid),
        };
    }

    /// The object of a VM by the value of an argument register.
    pub(crate) fn svm(&self, lpid: u64) -> Option<Arc<Svm>> {
        self.svms.read().get(&Lpid::from_register(lpid)?).cloned()
    }

    /// Makes an object known; `false` when the partition has one.
    pub(crate) fn insert_svm(&self, svm: Arc<Svm>) -> bool {
        let mut svms = self.svms.write();
        if svms.contains_key(&svm.lpid) {
            return false;
        }
        svms.insert(svm.lpid, svm);
        true
    }

    pub(crate) fn remove_svm(&self, lpid: Lpid) -> Option<Arc<Svm>> {
        self.svms.write().remove(&lpid)
    }

    pub(crate) fn vcpu(&self, lpid: Lpid, id: u32) -> Option<Arc<Vcpu>> {
        self.vcpus.read().get(&(lpid, id)).cloned()
    }

    /// The virtual CPU of that number; one without a program if nobody added it.
    pub(crate) fn vcpu_or_idle(&self, lpid: Lpid, id: u32) -> Arc<Vcpu> {
        let mut vcpus = self.vcpus.write();
        Arc::clone(vcpus.entry((lpid, id)).or_insert_with(|| Arc::new(Vcpu::idle(lpid, id))))
    }

    pub(crate) fn vcpus_of(&self, lpid: Lpid) -> alloc::vec::Vec<Arc<Vcpu>> {
        self.vcpus.read().range((lpid, 0)..=(lpid, u32::MAX)).map(|(_, vcpu)| Arc::clone(vcpu)).collect()
    }

    /// What lies behind the guest addresses of a partition that is not secure. A partition whose entry was set to (0, 0) has no page
    /// table, so it has nothing; one whose entry nobody has written yet has what the hypervisor told the machine.
    pub(crate) fn partition_memory(&self, lpid: Lpid) -> Option<MemSlots> {
        if self.platform.is_cleared(lpid) {
            return None;
        }
        self.partitions.read().get(&lpid).cloned()
    }
}
