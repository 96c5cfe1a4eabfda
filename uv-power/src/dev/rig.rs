//! Machine, kernel and VMs.

use alloc::sync::Arc;
use core::ops::Range;
use core::sync::atomic::{AtomicU32, Ordering};

use spin::Mutex;
use uv_core::{AccessError, Gfn, GuestAddr, HostAddr, MemSlot, MemSlots, NormalMemory, PageSize, SlotError, SlotId};
use uv_sim::HostMemory;

use crate::abi::regs::Lpid;
use crate::abi::{GuestEntry, Ultracall};
use crate::hypervisor::kernel::{DevicePool, Host, KvmError, KvmVcpu, Vm, VmConfig};
use crate::hypervisor::vmm::boot::{BootError, BootLayout};
use crate::sim::{GuestProgram, Machine, MachineConfig, WrappingKey};

/// What a rig is made of.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RigConfig {
    /// The machine: its ultravisor, secure pages, wrapping key and seed.
    pub machine: MachineConfig,
    /// Secure memory that the kernel is told of, in pages of 64 KiB: as many device pages has it. `None`: what the machine has.
    pub device_pages: Option<u64>,
    /// Bytes for the memory of VMs, from [`Rig::GUESTS`] on.
    pub guest_bytes: u64,
}

impl RigConfig {
    /// A machine of the documented profile with this wrapping key; 1 GiB of secure memory and 256 MiB for the memory of VMs.
    #[must_use]
    pub fn new(key: impl Into<WrappingKey>) -> Self {
        Self::with_machine(MachineConfig::new(key))
    }

    /// As [`RigConfig::new`], with a machine of one's own choice.
    #[must_use]
    pub const fn with_machine(machine: MachineConfig) -> Self {
        Self { machine, device_pages: None, guest_bytes: 256 << 20 }
    }
}

/// Why a VM could not be made.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum RigError {
    /// The kernel refused.
    #[error(transparent)]
    Kvm(#[from] KvmError),
    /// The memory cannot be a slot.
    #[error(transparent)]
    Slot(#[from] SlotError),
    /// The guest could not be loaded.
    #[error(transparent)]
    Boot(#[from] BootError),
}

/// A machine with its normal memory, the host's kernel on it, and memory for VMs.
#[derive(Clone)]
pub struct Rig {
    /// The machine: the hardware's, the guest owner's and the tester's view of it.
    pub machine: Machine,
    /// Normal memory, as a hypervisor reaches it.
    pub memory: Arc<dyn NormalMemory>,
    /// What the host's kernel has of the machine.
    pub host: Host,
    config: RigConfig,
    shared: Arc<Shared>,
}

/// What handles of a rig share.
struct Shared {
    /// Normal memory that no VM has yet.
    free: Mutex<Range<u64>>,
    /// The last partition number given.
    lpid: AtomicU32,
}

impl core::fmt::Debug for Rig {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Rig").field("machine", &self.machine).field("host", &self.host).finish_non_exhaustive()
    }
}

impl Rig {
    /// Where the memory of the first VM begins. What is below belongs to no VM; no ultracall takes address 0 for a page.
    pub const GUESTS: HostAddr = HostAddr(16 << 20);

    /// A rig of usual size; see [`RigConfig::new`].
    #[must_use]
    pub fn new(key: impl Into<WrappingKey>) -> Self {
        Self::with(RigConfig::new(key))
    }

    /// A rig made of this.
    #[must_use]
    pub fn with(config: RigConfig) -> Self {
        Self::over(config, |memory| Arc::new(memory), |machine| Arc::new(machine.clone()))
    }

    /// As [`Rig::with`], with what `memory` puts around normal memory, and a hypervisor that reaches the machine through what
    /// `seams` makes: wrappers around its seams.
    #[must_use]
    pub fn over<S: Ultracall + GuestEntry + 'static>(
        config: RigConfig,
        memory: impl FnOnce(HostMemory) -> Arc<dyn NormalMemory>,
        seams: impl FnOnce(&Machine) -> Arc<S>,
    ) -> Self {
        let end = Self::GUESTS.0.saturating_add(config.guest_bytes);
        let memory = memory(HostMemory::new(end));
        let machine = Machine::new(config.machine.clone(), Arc::clone(&memory));
        let uv = seams(&machine);
        let device_pages = config.device_pages.unwrap_or(config.machine.secure_pages.into());
        let pool = DevicePool::new(device_pages.saturating_mul(PageSize::K64.size())).map(Arc::new);
        let host = Host { entry: uv.clone(), uv, memory: Arc::clone(&memory), pool };
        let shared = Shared { free: Mutex::new(Self::GUESTS.0..end), lpid: AtomicU32::new(0) };
        Self { machine, memory, host, config, shared: Arc::new(shared) }
    }

    /// What the rig is made of.
    #[must_use]
    pub const fn config(&self) -> &RigConfig {
        &self.config
    }

    /// Memory slots of so many pages of 64 KiB, from guest address 0 on, in normal memory that no other VM has.
    ///
    /// # Errors
    /// [`RigError::Kvm`] with [`KvmError::NoPage`] when there is none left; [`RigError::Slot`] for no page at all.
    pub fn slots(&self, pages: u64) -> Result<MemSlots, RigError> {
        let bytes = pages.saturating_mul(PageSize::K64.size());
        let mut free = self.shared.free.lock();
        let host = HostAddr(free.start);
        let next = host.0.checked_add(bytes).filter(|next| *next <= free.end).ok_or(KvmError::NoPage)?;
        let mut slots = MemSlots::new(PageSize::K64);
        slots.insert(SlotId(0), MemSlot { first: Gfn(0), pages, host })?;
        free.start = next;
        Ok(slots)
    }

    /// A normal VM of so many pages of 64 KiB that may become secure. VMs are partitions 1, 2, …
    ///
    /// # Errors
    /// As [`Rig::slots`], [`Vm::enable_secure_guest_capability`].
    pub fn vm(&self, pages: u64) -> Result<Arc<Vm>, RigError> {
        let slots = self.slots(pages)?;
        let lpid = Lpid(self.shared.lpid.fetch_add(1, Ordering::Relaxed).saturating_add(1));
        let vm = Arc::new(Vm::new(self.host.clone(), VmConfig { lpid, radix: true, slots }));
        vm.enable_secure_guest_capability()?;
        Ok(vm)
    }

    /// The same, as large as the layout says, with the guest loaded.
    ///
    /// # Errors
    /// As [`Rig::vm`], [`Rig::load`].
    pub fn vm_with(&self, layout: &BootLayout<'_>) -> Result<Arc<Vm>, RigError> {
        let vm = self.vm(PageSize::K64.pages_for(layout.memory))?;
        self.load(&vm, layout)?;
        Ok(vm)
    }

    /// Loads a guest into the memory of one of the rig's VMs, as before its first start or after a reset.
    ///
    /// # Errors
    /// As [`BootLayout::load`].
    pub fn load(&self, vm: &Vm, layout: &BootLayout<'_>) -> Result<(), BootError> {
        let unmapped = AccessError::Unmapped { at: HostAddr(0), len: 0 };
        layout.load(&*self.memory, vm.slots().host_addr(GuestAddr(0)).ok_or(unmapped)?)
    }

    /// The boot CPU of a VM: virtual CPU 0, which starts at the layout's kernel and does what `program` says.
    #[must_use]
    pub fn boot_cpu(&self, vm: &Arc<Vm>, layout: &BootLayout<'_>, program: GuestProgram) -> KvmVcpu {
        self.machine.add_vcpu(vm.lpid(), 0, program);
        KvmVcpu::new(Arc::clone(vm), 0).starting_at(layout.kernel.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owner::digests::RTAS_STUB;
    use crate::owner::keys::PrivateKey;
    use crate::owner::samples;
    use alloc::vec;

    use crate::hypervisor::vmm::boot::BootFiles;

    fn config() -> RigConfig {
        RigConfig::new(PrivateKey::from_pem(samples::MACHINE1, None).unwrap())
    }

    #[test]
    fn vms_have_partitions_and_memory_of_their_own_until_there_is_none_left() {
        let rig = Rig::with(RigConfig { guest_bytes: 5 << 16, ..config() });
        let at = |vm: &Vm| vm.slots().host_addr(GuestAddr(0)).unwrap();
        let vms = [rig.vm(2).unwrap(), rig.vm(2).unwrap()];
        assert_eq!(vms.each_ref().map(|vm| vm.lpid()), [Lpid(1), Lpid(2)]);
        assert_eq!(vms.each_ref().map(|vm| at(vm)), [Rig::GUESTS, HostAddr(Rig::GUESTS.0 + (2 << 16))]);
        assert_eq!(rig.vm(2).err(), Some(KvmError::NoPage.into()));
        assert_eq!(rig.slots(u64::MAX).err(), Some(KvmError::NoPage.into()));
        assert_eq!(rig.slots(0).err(), Some(SlotError::Empty.into()));
        assert_eq!(rig.clone().vm(1).unwrap().lpid(), Lpid(3), "what was refused took nothing");
    }

    #[test]
    fn the_kernel_counts_as_many_pages_as_it_is_told() {
        let machine = MachineConfig { secure_pages: 40, ..config().machine };
        let pool = |device_pages| {
            let config = RigConfig { device_pages, ..RigConfig::with_machine(machine.clone()) };
            let rig = Rig::with(config);
            assert_eq!(rig.machine.secure_pages().1, 40);
            rig.host.pool.as_ref().map(|pool| pool.pages())
        };
        assert_eq!([None, Some(99), Some(0)].map(pool), [Some(40), Some(99), None]);
        let rig = Rig::with(RigConfig { device_pages: Some(0), ..config() });
        assert_eq!(rig.vm(1).err(), Some(KvmError::Unsupported.into()));
    }

    #[test]
    fn a_guest_is_loaded_to_its_own_vm() {
        let files = BootFiles {
            kernel: b"a kernel",
            initrd: b"an initramfs",
            blob: None,
            rtas: &RTAS_STUB,
            bootargs: "",
            cores: 1,
        };
        let layout = BootLayout::new(&files).unwrap();
        let rig = Rig::with(config());
        let (other, vm) = (rig.vm(1).unwrap(), rig.vm_with(&layout).unwrap());
        assert_eq!(vm.slots().end().0 << 16, layout.memory);
        let mut found = vec![0; files.kernel.len()];
        rig.memory.read(vm.slots().host_addr(layout.kernel.at).unwrap(), &mut found).unwrap();
        assert_eq!(found, files.kernel);
        assert_eq!(other.slots().end(), Gfn(1));
        let small = Rig::with(RigConfig { guest_bytes: layout.memory - 1, ..config() });
        assert_eq!(small.vm_with(&layout).err(), Some(KvmError::NoPage.into()));
    }
}
