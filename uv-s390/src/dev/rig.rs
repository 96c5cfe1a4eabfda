//! Machine, kernel and VMs.

use alloc::sync::Arc;
use core::ops::Range;

use spin::Mutex;
use uv_core::{Gfn, GuestAddr, HostAddr, MemSlot, MemSlots, PageSize, SlotId};
use uv_sim::rng::SimRng;

use crate::abi::se_header::PlaintextControlFlags;
use crate::guest::stage3a::BootImage;
use crate::hypervisor::kernel::{Hardware, Host, HostError, HostPages, Vm, VmConfig};
use crate::owner::image::ImageBuilder;
use crate::sim::{HostView, Machine, MachineConfig};

/// What a rig is made of.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RigConfig {
    /// The machine. How much memory it has is the rig's matter.
    pub machine: MachineConfig,
    /// Bytes that the kernel has for itself and to donate, from [`Rig::KERNEL`] on.
    pub kernel_bytes: u64,
    /// Bytes for the memory of VMs, behind the kernel's.
    pub guest_bytes: u64,
}

impl RigConfig {
    /// A machine of the newest generation with a host key of its own; 64 MiB for the kernel and 256 MiB for VMs. The same number
    /// gives the same machine.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_machine(MachineConfig::new(seed))
    }

    /// As [`RigConfig::new`], with a machine of one's own choice.
    #[must_use]
    pub const fn with_machine(machine: MachineConfig) -> Self {
        Self { machine, kernel_bytes: 64 << 20, guest_bytes: 256 << 20 }
    }
}

/// A machine with an initialized Ultravisor, the hypervisor's kernel on it, and memory for VMs.
#[derive(Debug)]
pub struct Rig {
    /// The machine: the operator's and the guest owner's view of it.
    pub machine: Arc<Machine>,
    /// Host memory, as a hypervisor reaches it.
    pub memory: HostView,
    /// The hypervisor's kernel.
    pub host: Arc<Host>,
    config: RigConfig,
    /// Host memory that no VM has yet.
    free: Mutex<Range<u64>>,
}

impl Rig {
    /// Where the kernel's own storage begins: INIT_UV wants it at or above 2 GiB.
    pub const KERNEL: HostAddr = HostAddr(2 << 30);

    /// A rig of usual size; see [`RigConfig::new`].
    ///
    /// # Errors
    /// As [`Host::start`].
    pub fn new(seed: u64) -> Result<Self, HostError> {
        Self::with(RigConfig::new(seed))
    }

    /// A rig made of this.
    ///
    /// # Errors
    /// As [`Host::start`].
    pub fn with(config: RigConfig) -> Result<Self, HostError> {
        Self::over(config, |machine| Hardware::new(machine, machine.host_memory()))
    }

    /// As [`Rig::with`], with a hypervisor that reaches the machine through what `hardware` makes: wrappers around its seams.
    ///
    /// # Errors
    /// As [`Host::start`].
    pub fn over(config: RigConfig, hardware: impl FnOnce(&Arc<Machine>) -> Hardware) -> Result<Self, HostError> {
        let first = Self::KERNEL.0.saturating_add(config.kernel_bytes);
        let memory = first.saturating_add(config.guest_bytes);
        let machine = Arc::new(Machine::new(MachineConfig { memory, ..config.machine.clone() }));
        let host = Host::start(hardware(&machine), HostPages::new([(Self::KERNEL, config.kernel_bytes)]))?;
        Ok(Self { memory: machine.host_memory(), machine, host, config, free: Mutex::new(first..memory) })
    }

    /// What the rig is made of.
    #[must_use]
    pub const fn config(&self) -> &RigConfig {
        &self.config
    }

    /// Memory slots of so many pages, from guest address 0 on, in host memory that no other VM has.
    ///
    /// # Errors
    /// [`HostError::NoStorage`] when there is none left.
    pub fn slots(&self, pages: u64) -> Result<MemSlots, HostError> {
        let bytes = pages.saturating_mul(PageSize::K4.size());
        let mut free = self.free.lock();
        let host = HostAddr(free.start);
        let next = host.0.checked_add(bytes).filter(|next| *next <= free.end).ok_or(HostError::NoStorage(bytes))?;
        let mut slots = MemSlots::new(PageSize::K4);
        slots.insert(SlotId(0), MemSlot { first: Gfn(0), pages, host })?;
        free.start = next;
        Ok(slots)
    }

    /// An ordinary VM of so many pages, with CPUs numbered from 0 on.
    ///
    /// # Errors
    /// As [`Rig::slots`], [`Vm::new`], [`Vm::add_cpu`].
    pub fn vm(&self, pages: u64, cpus: u16) -> Result<Arc<Vm>, HostError> {
        self.vm_of(VmConfig::new(self.slots(pages)?), cpus)
    }

    /// As [`Rig::vm`], of a configuration of one's own.
    ///
    /// # Errors
    /// As [`Vm::new`], [`Vm::add_cpu`].
    pub fn vm_of(&self, config: VmConfig, cpus: u16) -> Result<Arc<Vm>, HostError> {
        let guest = Vm::new(Arc::clone(&self.host), config)?;
        (0..cpus).try_for_each(|number| guest.add_cpu(number))?;
        Ok(guest)
    }

    /// An ordinary VM with an image in its memory from address 0 on, and 1 MiB behind it.
    ///
    /// # Errors
    /// As [`Rig::vm`].
    pub fn vm_with(&self, image: &BootImage, cpus: u16) -> Result<Arc<Vm>, HostError> {
        let bytes = u64::try_from(image.file().len()).unwrap_or(u64::MAX >> 1).saturating_add(1 << 20);
        let vm = self.vm(PageSize::K4.pages_for(bytes), cpus)?;
        vm.storage().write(GuestAddr(0), image.file())?;
        Ok(vm)
    }

    /// An image of this kernel for this machine. It may be dumped where the machine can; the same rig gives the same image.
    #[must_use]
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "the builder refuses no kernel without a command line"
    )]
    pub fn image(&self, kernel: &[u8]) -> BootImage {
        let machine = &self.config.machine;
        let built = ImageBuilder::new(kernel)
            .host_key(machine.host_key.public())
            .skip_component_check()
            .pcf(machine.generation.plaintext_flags() & PlaintextControlFlags::ALLOW_DUMP)
            .build(&mut SimRng::from_seed(machine.seed).fork("image"))
            .expect("a kernel is all that an image needs");
        BootImage::find(built.bytes).expect("just built")
    }
}
