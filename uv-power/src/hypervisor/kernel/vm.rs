//! A VM of KVM-HV.

use super::areas::Areas;
use super::gfn::{GfnState, GfnTable};
use super::host_pages::{HostPages, Moved};
use super::pins::Pins;
use super::pool::DevicePool;
use crate::abi::codes::HvCode;
use crate::abi::entry::GuestEntry;
use crate::abi::regs::Lpid;
use crate::abi::tpm::HostTpm;
use crate::abi::ultracall::{Ultracall, UvError};
use alloc::boxed::Box;
use alloc::sync::Arc;
use bitflags::bitflags;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use spin::{Mutex, RwLock};
use uv_core::{ArgumentError, ErrorKind, Gfn, MemSlots, NormalMemory, PageSize, VmState};

bitflags! {
    /// How far a VM is on its way to be secure (`secure_guest` of the kernel, power-pef §1.4).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct SecureGuest: u8 {
        /// `H_SVM_INIT_START` was made.
        const INIT_START = 1;
        /// `H_SVM_INIT_DONE` was made.
        const INIT_DONE = 2;
    }
}

/// What the host machine offers to all its VMs.
#[derive(Clone)]
pub struct Host {
    /// The ultravisor.
    pub uv: Arc<dyn Ultracall>,
    /// The way into guests that are not secure.
    pub entry: Arc<dyn GuestEntry>,
    /// The host's memory, by real address.
    pub memory: Arc<dyn NormalMemory>,
    /// The device pages; `None` on a machine without secure memory.
    pub pool: Option<Arc<DevicePool>>,
}

impl core::fmt::Debug for Host {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Host").field("pool", &self.pool).finish_non_exhaustive()
    }
}

/// How a VM is made.
#[derive(Clone, Debug)]
pub struct VmConfig {
    /// The partition number, not 0.
    pub lpid: Lpid,
    /// Whether the guest uses the radix MMU; a hash guest cannot be secure.
    pub radix: bool,
    /// The guest's memory, in pages of 64 KiB.
    pub slots: MemSlots,
}

/// A refusal on the hypervisor's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KvmError {
    /// An argument is wrong.
    #[error(transparent)]
    Argument(#[from] ArgumentError),
    /// The ultravisor refused.
    #[error(transparent)]
    Uv(#[from] UvError),
    /// A hypercall of the transition was refused; the guest was told.
    #[error("the guest's UV_ESM ended with {0}")]
    Refused(HvCode),
    /// The last exit of the virtual CPU did not ask to become secure, or asked for another VM.
    #[error("the guest did not ask to become secure")]
    NotAsked,
    /// The VM is not in the state the call needs.
    #[error("the VM is {0:?}")]
    State(VmState),
    /// The page is not in the state the call needs.
    #[error("page {0} is {1:?}")]
    Page(Gfn, GfnState),
    /// The host holds on to the page: it cannot move.
    #[error("page {0} is pinned")]
    Pinned(Gfn),
    /// The host has no page free for what comes out of secure memory (`-ENOMEM`).
    #[error("the host has no page free")]
    NoPage,
    /// No device page is free.
    #[error("no device page is free")]
    PoolEmpty,
    /// A virtual CPU is running (`-EBUSY`).
    #[error("a virtual CPU is running")]
    Running,
    /// The ultravisor did not let go of the VM (`-EINVAL`).
    #[error("the ultravisor did not end the VM: {0}")]
    NotEnded(UvError),
    /// The machine has no secure memory, or the kernel no support (`-EINVAL`).
    #[error("this host cannot run secure VMs")]
    Unsupported,
    /// A page fault of the guest cannot be served (`-EFAULT`): no such memory.
    #[error("page {0} cannot be served")]
    Fault(Gfn),
    /// An access of the host to a secure page failed: the ultravisor did not page it out (`SIGBUS`).
    #[error("page {0} cannot be taken from the guest")]
    SigBus(Gfn),
    /// The hypervisor was entered at a vector that nobody expects.
    #[error("unexpected interrupt {0:#x}")]
    Vector(u64),
}

impl From<uv_core::Unsupported> for KvmError {
    fn from(_: uv_core::Unsupported) -> Self {
        Self::Unsupported
    }
}

impl uv_core::Error for KvmError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Argument(e) => e.kind(),
            Self::Uv(e) => e.kind(),
            Self::Refused(_) => ErrorKind::Integrity,
            Self::State(_) | Self::Page(..) | Self::NotAsked => ErrorKind::WrongState,
            Self::PoolEmpty | Self::NoPage => ErrorKind::Exhausted,
            Self::Running | Self::Pinned(_) => ErrorKind::Busy,
            Self::Unsupported => ErrorKind::Unsupported,
            Self::Fault(_) => ErrorKind::InvalidArgument,
            Self::NotEnded(_) | Self::SigBus(_) | Self::Vector(_) => ErrorKind::Fatal,
        }
    }
}

/// A VM of KVM-HV. Shared by its virtual CPU threads and by user space.
pub struct Vm {
    pub(in crate::hypervisor) host: Host,
    pub(super) lpid: Lpid,
    pub(super) radix: bool,
    pub(in crate::hypervisor) slots: RwLock<MemSlots>,
    pub(super) gfns: GfnTable,
    /// Where pages come from that leave secure memory; `None`: their place in the slot.
    pub(super) pages: Option<Arc<dyn HostPages>>,
    /// Pages that lie elsewhere than in their slot.
    pub(super) moved: Mutex<Moved>,
    /// Pages that cannot move.
    pub(super) pins: Mutex<Pins>,
    /// One paging operation at a time, as the kernel's `uvmem_lock`.
    pub(super) uvmem: Mutex<()>,
    /// Held shared while user space moves pages, alone while the VM is taken out of secure mode: as `kvm->srcu` and `kvm->lock`.
    pub(super) moves: RwLock<()>,
    /// The TPM of the VM's `spapr-tpm-proxy`.
    pub(super) tpm: Mutex<Option<Box<dyn HostTpm>>>,
    /// Areas that virtual CPUs registered.
    pub(super) areas: Mutex<Areas>,
    secure_guest: AtomicU8,
    aborted: AtomicBool,
    capability: AtomicBool,
    running: AtomicU32,
}

impl core::fmt::Debug for Vm {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Vm")
            .field("lpid", &self.lpid.0)
            .field("secure_guest", &self.secure_guest())
            .finish_non_exhaustive()
    }
}

impl Vm {
    /// A normal VM. Its memory becomes reachable for its guest, and the ultravisor gets its partition entry.
    #[must_use]
    pub fn new(host: Host, config: VmConfig) -> Self {
        let vm = Self {
            host,
            lpid: config.lpid,
            radix: config.radix,
            slots: RwLock::new(config.slots),
            gfns: GfnTable::default(),
            pages: None,
            moved: Mutex::default(),
            pins: Mutex::default(),
            uvmem: Mutex::new(()),
            moves: RwLock::new(()),
            tpm: Mutex::default(),
            areas: Mutex::default(),
            secure_guest: AtomicU8::new(0),
            aborted: AtomicBool::new(false),
            capability: AtomicBool::new(false),
            running: AtomicU32::new(0),
        };
        vm.publish_memory();
        vm.write_partition_entry();
        vm
    }

    /// The same, with a page of its own for each guest page that comes out of secure memory.
    #[must_use]
    pub fn with_host_pages(mut self, pages: Arc<dyn HostPages>) -> Self {
        self.pages = Some(pages);
        self
    }

    /// The partition number.
    #[must_use]
    pub const fn lpid(&self) -> Lpid {
        self.lpid
    }

    /// The memory slots as they were given. Where a page lies now is [`Vm::host_addr`].
    #[must_use]
    pub fn slots(&self) -> MemSlots {
        self.slots.read().clone()
    }

    /// How far the VM is.
    #[must_use]
    pub fn secure_guest(&self) -> SecureGuest {
        SecureGuest::from_bits_retain(self.secure_guest.load(Ordering::Acquire))
    }

    pub(super) fn set_secure_guest(&self, flags: SecureGuest) {
        if flags.is_empty() {
            self.aborted.store(false, Ordering::Release);
        }
        self.secure_guest.store(flags.bits(), Ordering::Release);
    }

    /// Notes that the ultravisor made `H_SVM_INIT_ABORT` after `H_SVM_INIT_DONE`: it waits for the end of the VM, until which
    /// `secure_guest` stays as it is (power-pef §7.4).
    pub(super) fn set_aborted(&self) {
        self.aborted.store(true, Ordering::Release);
    }

    pub(super) fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::Acquire)
    }

    /// What KVM knows about a page.
    #[must_use]
    pub fn gfn_state(&self, gfn: Gfn) -> GfnState {
        self.gfns.get(gfn)
    }

    /// Checks `KVM_CAP_PPC_SECURE_GUEST` (181): whether the host can run secure VMs.
    #[must_use]
    pub fn check_secure_guest_capability(&self) -> bool {
        self.host.pool.is_some()
    }

    /// Enables `KVM_CAP_PPC_SECURE_GUEST` for the VM.
    ///
    /// # Errors
    /// [`KvmError::Unsupported`] (`-EINVAL`) without device pages.
    pub fn enable_secure_guest_capability(&self) -> Result<(), KvmError> {
        if !self.check_secure_guest_capability() {
            return Err(KvmError::Unsupported);
        }
        self.capability.store(true, Ordering::Release);
        Ok(())
    }

    pub(super) fn capability(&self) -> bool {
        self.capability.load(Ordering::Acquire)
    }

    /// Notes that a virtual CPU is inside its guest until the value is dropped.
    pub(super) fn enter(&self) -> Inside<'_> {
        self.running.fetch_add(1, Ordering::AcqRel);
        Inside(&self.running)
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire) > 0
    }

    /// The page size of a secure VM.
    pub(in crate::hypervisor) const PAGE_SIZE: PageSize = PageSize::K64;
}

/// A virtual CPU is inside its guest.
pub(super) struct Inside<'a>(&'a AtomicU32);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
