//! A virtual machine as the kernel keeps it.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use spin::{Mutex, RwLock};
use uv_core::{Gfn, HostAddr, MemSlots};

use super::conf::SecureConf;
use super::cpu::Cpu;
use super::gmap::Gmap;
use super::interrupt::Floating;
use super::settings::Settings;
use super::skeys::StorageKeys;
use super::teardown::SetAside;
use super::{Allocation, CpuModel, Host, HostError};
use crate::abi::sie::Asce;
use crate::abi::uvcb::UvCommand;
use crate::hypervisor::GuestStorage;

/// What a virtual machine is made of.
#[derive(Clone, Debug)]
pub struct VmConfig {
    /// The first memory slots (4 KiB pages) in host absolute storage outside of the kernel's own. They can change while the VM
    /// is ordinary.
    pub slots: MemSlots,
    /// Highest guest address that the address space must reach, in bytes; at most 2 GiB gives a segment-table ASCE, with which
    /// protection cannot be ended asynchronously. The end of the slots counts when it is higher.
    pub limit: u64,
    /// Huge pages back the guest. They cannot become secure.
    pub huge_pages: bool,
    /// The kernel may set a configuration aside and end it later (module parameter `async_destroy`).
    pub async_destroy: bool,
    /// The process that the VM belongs to.
    pub process: Arc<Process>,
}

/// A process with VMs, usually one. Of each the kernel counts the protected configurations, those set aside included (Linux:
/// `mm->context.protected_count`): with one alone, no page that is imported can belong to another.
#[derive(Debug, Default)]
pub struct Process {
    pub(super) protected: AtomicU64,
}

impl Process {
    /// Number of protected configurations at this moment.
    #[must_use]
    pub fn protected_count(&self) -> u64 {
        self.protected.load(Ordering::Relaxed)
    }
}

impl VmConfig {
    /// A VM of a new process, with these slots, 4 KiB pages and an address space as wide as a VMM gives when nothing limits it.
    #[must_use]
    pub fn new(slots: MemSlots) -> Self {
        Self { slots, limit: 1 << 42, huge_pages: false, async_destroy: true, process: Arc::default() }
    }
}

/// A root of the guest's page tables, with the ASCE that designates it.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) asce: u64,
    pub(super) table: Allocation,
}

/// One virtual machine: ordinary at first, protected after [`Vm::enable`].
///
/// ```text
///            enable                set_parameters, unpack …, verify, CPU_SET_STATE operating-load
/// ordinary ──────────▶ protected ───────────────────────────────────────────────────────────────▶ running
///     ▲                    │ disable, set_aside                                                       │
///     └────────────────────┴──────────────────────────────────────────────────────────────────────────┘
/// ```
/// All methods take `&self` and may be called from many threads. The life-cycle methods are serialized by the VM's lock;
/// page operations and vCPUs only take it for reading.
///
/// | who | ordinary | protected |
/// |---|---|---|
/// | hypervisor | sees all guest memory | sees shared pages, ciphertext of exported ones, nothing of secure ones |
/// | Ultravisor | knows nothing of the VM | owns its secure pages and CPU state |
/// | guest | runs as on any machine | is asked for by exits for what only the host can do |
#[derive(Debug)]
pub struct Vm {
    /// The VM itself, for vCPUs that are made from a reference to it.
    this: Weak<Self>,
    pub(super) host: Arc<Host>,
    pub(super) gmap: Arc<Gmap>,
    pub(super) root: Mutex<Option<Root>>,
    pub(super) sca: Mutex<Option<Allocation>>,
    pub(super) sca_origin: HostAddr,
    pub(super) cpus: RwLock<Vec<Arc<Cpu>>>,
    /// What is pending for any CPU.
    pub(super) floating: Mutex<Floating>,
    pub(super) conf: RwLock<Option<SecureConf>>,
    pub(super) aside: Mutex<SetAside>,
    pub(super) dumping: AtomicBool,
    pub(super) storage_keys: Mutex<StorageKeys>,
    pub(super) settings: Mutex<Settings>,
    /// Serializes exchanges of guest storage that user space asks for.
    pub(super) exchange: Mutex<()>,
    /// Serializes life-cycle operations (KVM's VM lock).
    pub(super) lock: Mutex<()>,
    pub(super) async_destroy: bool,
    pub(super) process: Arc<Process>,
    /// Features that protected guests of this VM have.
    pub(super) uv_features: AtomicU64,
    /// User space sets the states of the CPUs.
    pub(super) user_states: AtomicBool,
    /// What user space switched on.
    pub(super) options: AtomicU32,
    /// Pages unpacked since the last enable.
    pub(super) unpacked: AtomicU64,
    /// VERIFY_IMG was done since the last enable.
    pub(super) verified: AtomicBool,
    fatal_signal: AtomicBool,
    limit: u64,
    /// Highest address that the tables must reach, in bytes: at most the limit.
    table_limit: AtomicU64,
}

/// Storage for an extended SCA.
const SCA_BYTES: u64 = 0x4000;
/// Storage and alignment of a root table.
const TABLE_BYTES: u64 = 0x4000;

impl Vm {
    /// Makes an ordinary VM without CPUs.
    ///
    /// # Errors
    /// [`HostError::NoStorage`] for its tables.
    pub fn new(host: Arc<Host>, config: VmConfig) -> Result<Arc<Self>, HostError> {
        let gmap = Arc::new(Gmap::new(config.slots, config.huge_pages)?);
        let limit = config.limit.max(gmap.slots().end().0.saturating_mul(0x1000));
        let sca = host.allocate_zeroed(SCA_BYTES, 0x1000)?;
        let root = match new_root(&host, &gmap, limit) {
            Ok(root) => root,
            Err(error) => {
                host.pages.free(sca);
                return Err(error);
            }
        };
        Ok(Arc::new_cyclic(|this| Self {
            this: this.clone(),
            sca_origin: sca.origin(),
            sca: Mutex::new(Some(sca)),
            root: Mutex::new(Some(root)),
            cpus: RwLock::new(Vec::new()),
            floating: Mutex::default(),
            conf: RwLock::new(None),
            aside: Mutex::new(SetAside::default()),
            dumping: AtomicBool::new(false),
            storage_keys: Mutex::default(),
            settings: Mutex::new(Settings::new(CpuModel::of(&host.hardware.system, host.has(UvCommand::INIT_UV)))),
            exchange: Mutex::new(()),
            lock: Mutex::new(()),
            async_destroy: config.async_destroy,
            process: config.process,
            uv_features: AtomicU64::new(0),
            user_states: AtomicBool::new(false),
            options: AtomicU32::new(0),
            unpacked: AtomicU64::new(0),
            verified: AtomicBool::new(false),
            fatal_signal: AtomicBool::new(false),
            host,
            gmap,
            limit,
            table_limit: AtomicU64::new(limit),
        }))
    }

    /// The VM as its owners share it; `None` while it is dropped.
    #[must_use]
    pub fn shared(&self) -> Option<Arc<Self>> {
        self.this.upgrade()
    }

    /// The kernel this VM belongs to.
    #[must_use]
    pub const fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// The memory slots at this moment.
    #[must_use]
    pub fn slots(&self) -> Arc<MemSlots> {
        self.gmap.slots()
    }

    /// Guest storage as the hypervisor reaches it: all of it for an ordinary VM; for a protected one accesses to secure pages
    /// fail (see [`Vm::host_read`] for accesses that convert pages first).
    #[must_use]
    pub fn storage(&self) -> GuestStorage<'_> {
        GuestStorage { slots: self.slots(), memory: &self.host.hardware.memory }
    }

    /// The guest ASCE at this moment.
    #[must_use]
    pub fn asce(&self) -> Asce {
        Asce(self.root.lock().as_ref().map_or(0, |root| root.asce))
    }

    /// Whether the VM has a configuration.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        self.conf.read().is_some()
    }

    /// Whether a dump is in progress: no CPU of the VM can run.
    #[must_use]
    pub fn is_dumping(&self) -> bool {
        self.dumping.load(Ordering::Acquire)
    }

    /// Pages that UNPACK_IMG took since protection began. May be read while another thread unpacks.
    #[must_use]
    pub fn unpacked_pages(&self) -> u64 {
        self.unpacked.load(Ordering::Relaxed)
    }

    /// Says that the process is to die: long operations stop at their next retry.
    pub fn set_fatal_signal(&self, pending: bool) {
        self.fatal_signal.store(pending, Ordering::Relaxed);
    }

    /// Whether the process is to die.
    #[must_use]
    pub fn fatal_signal(&self) -> bool {
        self.fatal_signal.load(Ordering::Relaxed)
    }

    /// Highest address that the guest's address space was made for, in bytes.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// Whether the kernel may set a configuration aside.
    #[must_use]
    pub const fn has_async_destroy(&self) -> bool {
        self.async_destroy
    }

    /// Host absolute address of a CPU's state description.
    ///
    /// # Errors
    /// [`HostError::Cpu`].
    pub fn state_address(&self, number: u16) -> Result<HostAddr, HostError> {
        Ok(self.cpu(number)?.block.origin())
    }

    /// Whether huge pages back the guest.
    #[must_use]
    pub fn has_huge_pages(&self) -> bool {
        self.gmap.is_huge()
    }

    /// Handle of the configuration.
    pub(super) fn handle(&self) -> Result<u64, HostError> {
        self.conf.read().as_ref().map(|conf| conf.handle).ok_or(HostError::NotProtected)
    }

    /// Bytes of guest storage: the end of the highest slot.
    pub(super) fn storage_len(&self) -> u64 {
        self.slots().end().0.saturating_mul(0x1000)
    }

    /// Gives the guest another root, so that the old ASCE stays with a configuration that is not gone. The old root is
    /// returned and keeps its mappings.
    pub(super) fn replace_root(&self) -> Result<Option<Root>, HostError> {
        let fresh = new_root(&self.host, &self.gmap, self.table_limit.load(Ordering::Relaxed))?;
        Ok(self.root.lock().replace(fresh))
    }

    /// Makes the guest's tables anew, for addresses up to `limit` bytes only: with at most 2 GiB the ASCE is that of a segment
    /// table. [`Vm::limit`] stays.
    ///
    /// # Errors
    /// [`HostError::Protected`]; [`HostError::Busy`] when there are vCPUs; [`HostError::NoStorage`].
    pub fn limit_tables(&self, limit: u64) -> Result<(), HostError> {
        let _lock = self.lock.lock();
        if self.is_protected() {
            return Err(HostError::Protected);
        }
        if self.cpu_count() > 0 {
            return Err(HostError::Busy);
        }
        let before = self.table_limit.swap(limit, Ordering::Relaxed);
        match self.replace_root() {
            Ok(old) => {
                old.into_iter().for_each(|root| self.host.drop_root(root));
                Ok(())
            }
            Err(error) => {
                self.table_limit.store(before, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    /// Takes a page out of the guest's page tables, as a kernel under memory pressure does. The next call that needs it faults
    /// it in again.
    pub fn unmap(&self, gfn: Gfn) {
        self.gmap.unmap(gfn);
    }
}

impl Host {
    /// Takes a root out of the machine and frees its table.
    pub(super) fn drop_root(&self, root: Root) {
        self.hardware.spaces.detach(root.asce);
        self.pages.free(root.table);
    }
}

impl Drop for Vm {
    /// Ends protection as the kernel does when the process ends, then gives back what the VM used. Storage that the Ultravisor
    /// does not give back stays taken.
    fn drop(&mut self) {
        self.release();
        if self.is_protected() {
            return;
        }
        for cpu in self.cpus.get_mut().drain(..) {
            if let Ok(cpu) = Arc::try_unwrap(cpu) {
                self.host.pages.free(cpu.block);
            }
        }
        if let Some(sca) = self.sca.lock().take() {
            self.host.pages.free(sca);
        }
        if let Some(root) = self.root.lock().take() {
            self.host.drop_root(root);
        }
    }
}

/// ASCE bits of a guest: private space, full table.
const fn asce_bits(limit: u64) -> u64 {
    let kind = if limit <= 1 << 31 {
        0x00
    } else if limit <= 1 << 42 {
        0x04
    } else if limit <= 1 << 53 {
        0x08
    } else {
        0x0c
    };
    kind | Asce::PRIVATE | Asce::LENGTH
}

fn new_root(host: &Host, gmap: &Arc<Gmap>, limit: u64) -> Result<Root, HostError> {
    let table = host.allocate_zeroed(TABLE_BYTES, TABLE_BYTES)?;
    let asce = table.origin().0 | asce_bits(limit);
    host.hardware.spaces.attach(asce, gmap.clone());
    Ok(Root { asce, table })
}
