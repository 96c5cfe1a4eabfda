//! The machine, the hypervisor on it, and its VMs.

use std::sync::Arc;

use uv_core::{Exit, Gfn, GuestAddr, HostAddr, PageCounts, PageState, SecureVm as _};
use uv_s390::dev::{Rig, RigConfig};
use uv_s390::guest::stage3a::BootImage;
use uv_s390::hypervisor::kernel::{self, Host, S390Exit, VmConfig};
use uv_s390::hypervisor::vmm::boot::load;
use uv_s390::hypervisor::vmm::diag308::IplStores;
use uv_s390::owner::crypto::HostPrivateKey;
use uv_s390::sim::{GuestCode, Machine, MachineConfig};

use super::facts::{FactsHandle, Measuring};
use uv_programs::Failure;

/// How much storage the kernel has to donate from.
const KERNEL_BYTES: u64 = 256 << 20;
/// Guest memory behind the image.
const ROOM: u64 = 1 << 20;

/// A machine with an initialized Ultravisor, and the hypervisor's kernel on it.
#[derive(Debug)]
pub struct Platform(Rig);

impl Platform {
    /// A machine of the newest generation with this host key, and with memory for a few guests with images of
    /// `image_bytes`.
    ///
    /// # Errors
    /// Status 2 if the Ultravisor cannot be initialized.
    pub fn new(host_key: HostPrivateKey, seed: u64, image_bytes: usize) -> Result<Self, Failure> {
        Self::with_config(MachineConfig { host_key, ..MachineConfig::new(seed) }, image_bytes)
    }

    /// As [`Platform::new`] with a machine of one's own choice; its memory size is set here.
    ///
    /// # Errors
    /// Status 2 if the Ultravisor cannot be initialized.
    pub fn with_config(config: MachineConfig, image_bytes: usize) -> Result<Self, Failure> {
        let mut config = RigConfig::with_machine(config);
        (config.kernel_bytes, config.guest_bytes) = (KERNEL_BYTES, 4 * guest_bytes(image_bytes));
        Ok(Self(Rig::with(config).map_err(Failure::unusable)?))
    }

    /// The machine: the operator's and the guest owner's view. A hypervisor never has it.
    #[must_use]
    pub const fn machine(&self) -> &Arc<Machine> {
        &self.0.machine
    }

    /// The hypervisor's kernel.
    #[must_use]
    pub const fn host(&self) -> &Arc<Host> {
        &self.0.host
    }

    /// Where the kernel's own storage ends, which begins at 2 GiB.
    #[must_use]
    pub const fn end_of_kernel_storage(&self) -> HostAddr {
        HostAddr(Rig::KERNEL.0 + KERNEL_BYTES)
    }

    /// Makes an ordinary VM with one CPU, number 0, and the image in its memory from address 0 on.
    ///
    /// # Errors
    /// Status 2 if the machine has no memory left.
    pub fn load(&mut self, image: &BootImage) -> Result<Vm, Failure> {
        self.load_with(image, |config| config, 1)
    }

    /// As [`Platform::load`] with a changed configuration and more CPUs.
    ///
    /// # Errors
    /// Status 2 if the machine has no memory left.
    pub fn load_with(
        &mut self,
        image: &BootImage,
        change: impl FnOnce(VmConfig) -> VmConfig,
        cpus: u16,
    ) -> Result<Vm, Failure> {
        let bytes = guest_bytes(image.file().len());
        let no_memory = |_| Failure::unusable("the machine has no memory left for a guest");
        let config = change(VmConfig::new(self.0.slots(bytes >> 12).map_err(no_memory)?));
        let guest = self.0.vm_of(config, cpus).map_err(Failure::unusable)?;
        guest.storage().write(GuestAddr(0), image.file()).map_err(Failure::unusable)?;
        let image = image.clone();
        Ok(Vm { machine: self.0.machine.clone(), guest, stores: IplStores::new(), image })
    }
}

/// Memory of a guest with an image of this size, whole MiB.
fn guest_bytes(image_bytes: usize) -> u64 {
    let image = u64::try_from(image_bytes).unwrap_or(u64::MAX >> 8);
    (image + ROOM).next_multiple_of(1 << 20)
}

/// A VM with an image in its memory.
#[derive(Debug)]
pub struct Vm {
    pub(super) machine: Arc<Machine>,
    pub(super) guest: Arc<kernel::Vm>,
    pub(super) stores: IplStores,
    pub(super) image: BootImage,
}

impl Vm {
    /// The VM as its hypervisor has it.
    #[must_use]
    pub const fn guest(&self) -> &Arc<kernel::Vm> {
        &self.guest
    }

    /// The image.
    #[must_use]
    pub const fn image(&self) -> &BootImage {
        &self.image
    }

    /// Puts an image into the memory of the VM, which must be ordinary: what a re-IPL does. The rest of the memory is
    /// cleared.
    ///
    /// # Errors
    /// Status 2 if the VM is protected or the image does not fit.
    pub fn reload(&mut self, image: &BootImage) -> Result<(), Failure> {
        if self.guest.is_protected() {
            return Err(Failure::unusable("an image cannot be put into the memory of a protected VM"));
        }
        load(&self.guest.storage(), image.file()).map_err(Failure::unusable)?;
        self.image = image.clone();
        Ok(())
    }

    /// The IPIBs that the guest has set.
    #[must_use]
    pub const fn stores(&self) -> &IplStores {
        &self.stores
    }

    /// Says what CPU 0 runs once it is protected. For the guest's owner; to be called before the boot.
    ///
    /// # Errors
    /// Status 2 if the VM has no CPU 0.
    pub fn set_guest_code(&self, code: impl GuestCode + 'static) -> Result<(), Failure> {
        let state = self.guest.state_address(0).map_err(Failure::unusable)?;
        self.machine.set_guest(state, code);
        Ok(())
    }

    /// Lets the protected guest read and hash every component through its own CPU, then halt.
    ///
    /// # Errors
    /// As [`Vm::set_guest_code`].
    pub fn set_measuring_guest(&self) -> Result<FactsHandle, Failure> {
        let facts = FactsHandle::default();
        self.set_guest_code(Measuring { components: self.image.components().to_vec(), facts: facts.clone() })?;
        Ok(facts)
    }

    /// Runs CPU 0 as KVM does until the guest has nothing more to do. An exit that needs a device model ends the run.
    ///
    /// # Errors
    /// Status 1 if the guest cannot be entered or cannot go on.
    pub fn run_to_halt(&self) -> Result<Option<S390Exit>, Failure> {
        let mut cpu = self.guest.vcpu(0).map_err(Failure::refused)?;
        loop {
            match cpu.run_served().map_err(Failure::refused)? {
                Exit::Halted => return Ok(None),
                Exit::Arch(S390Exit::Yield(_)) => {}
                Exit::Arch(exit) => return Ok(Some(exit)),
                exit => return Err(Failure::refused(format_args!("the guest cannot go on after {exit:?}"))),
            }
        }
    }

    /// Pages by state, as the hypervisor can tell, and how many there are in all.
    ///
    /// # Errors
    /// Status 1 if the memory slots and the machine's memory disagree.
    pub fn page_counts(&self) -> Result<(PageCounts, u64), Failure> {
        let pages = self.guest.slots().end().0;
        let mut counts = PageCounts::default();
        for gfn in (0..pages).map(Gfn) {
            counts.add(self.guest.page_state(gfn).map_err(Failure::refused)?);
        }
        Ok((counts, pages))
    }

    /// State of one page, as the hypervisor can tell.
    ///
    /// # Errors
    /// Status 1 for a page in no slot.
    pub fn page_state(&self, gfn: Gfn) -> Result<PageState, Failure> {
        self.guest.page_state(gfn).map_err(Failure::refused)
    }
}
