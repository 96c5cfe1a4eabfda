//! The simulated machine.

use super::answer::Refusal;
use super::ap::Queue;
use super::clock::Clock;
use super::closed::ClosedFrames;
use super::conf::Conf;
use super::cpu::Cpu;
use super::frames::ConfId;
use super::guest::GuestCode;
use super::memory::{Donation, HostView, Storage};
use super::ordinary_cpu::OrdinaryCpu;
use super::profile::Generation;
use super::tables::Tables;
use crate::abi::ap::Apqn;
use crate::abi::sie::{AddressSpaces, Asce, GuestMap, HostMapping};
use crate::abi::uvc::UvRc;
use crate::abi::uvcb::Features;
use crate::owner::crypto::{HostPrivateKey, RequestKey};
use crate::owner::request::ConfigUid;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use rand_core::Rng;
use spin::{Mutex, RwLock};
use uv_core::{GuestAddr, HostAddr, NormalMemory, PageCounts, PageSize};
use uv_sim::rng::SimRng;
use uv_sim::seal::Suite;
use uv_sim::{Engine, EngineConfig, HostMemory};

/// What a machine is made of. It prints without the seed, from which keys come.
#[derive(Clone)]
pub struct MachineConfig {
    /// Generation.
    pub generation: Generation,
    /// Bytes of host memory, from host absolute 0 on. The storage that INIT_UV takes must lie at or above 2 GiB, so a useful
    /// machine has more.
    pub memory: u64,
    /// The machine's host key.
    pub host_key: HostPrivateKey,
    /// Its backup host key.
    pub backup_key: Option<HostPrivateKey>,
    /// What the address of a frame is in the control blocks that have no other.
    pub frame_address: FrameAddress,
    /// Everything random comes from this number.
    pub seed: u64,
}

/// What `paddr` is in the control blocks of CONV_FROM_SEC_STOR, DESTR_SEC_STOR and PIN_PAGE_SHARED.
///
/// UNSURE: Linux gives host absolute addresses, kvm-unit-tests addresses of its home space, and where either runs the two
/// are one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FrameAddress {
    /// Host absolute.
    #[default]
    Absolute,
    /// Host virtual: translated through the home space ([`Machine::set_home_space`]), with its codes 0x0030 and 0x0031.
    HomeVirtual,
}

impl core::fmt::Debug for MachineConfig {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut f = f.debug_struct("MachineConfig");
        f.field("generation", &self.generation).field("memory", &self.memory);
        f.field("frame_address", &self.frame_address).finish_non_exhaustive()
    }
}

impl MachineConfig {
    /// A machine of the newest generation with 4 GiB of memory and a fresh host key.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut rng = SimRng::from_seed(seed).fork("host key");
        Self {
            generation: Generation::Z17,
            memory: 4 << 30,
            host_key: HostPrivateKey::generate(&mut rng),
            backup_key: None,
            frame_address: FrameAddress::default(),
            seed,
        }
    }
}

/// A simulated IBM Z machine: its storage, its Ultravisor, its CPUs.
///
/// | who | uses |
/// |---|---|
/// | the hypervisor | [`UvCall`](crate::abi::uvc::UvCall), [`Sie`](crate::abi::sie::Sie), [`AddressSpaces`], [`Machine::host_memory`], [`Machine::closed_frames`], [`Machine::set_home_space`], [`Machine::walk_tables`], [`Machine::assign_ap_queue`], [`Machine::zeroize_ap_queue`] |
/// | the operator | [`MachineConfig`], [`Machine::load_normal`], [`Machine::set_running_cpus`], [`Machine::set_helped`], [`Machine::help`], [`Machine::install_ap_queue`], [`Machine::set_secret_changes`] |
/// | the guest's owner | [`Machine::set_guest`] |
/// | a test | [`Machine::page_counts`], [`Machine::advance_clock`] |
pub struct Machine {
    pub(crate) generation: Generation,
    pub(crate) host_key: HostPrivateKey,
    pub(crate) backup_key: Option<HostPrivateKey>,
    pub(crate) frame_address: FrameAddress,
    /// Wraps the keys that RETR_SECRET gives out.
    pub(crate) wrapping_key: RequestKey,
    pub(crate) storage: Arc<Storage>,
    pub(crate) engine: Engine,
    pub(crate) rng: Mutex<SimRng>,
    pub(crate) clock: Clock,
    pub(crate) running_cpus: AtomicU32,
    /// A thread calls [`Machine::help`].
    pub(crate) helped: AtomicBool,
    /// The storage of INIT_UV; `None` before.
    pub(crate) base: Mutex<Option<Donation>>,
    pub(crate) confs: RwLock<BTreeMap<u64, Arc<Conf>>>,
    pub(crate) owners: RwLock<BTreeMap<ConfId, Arc<Conf>>>,
    pub(crate) cpus: RwLock<BTreeMap<u64, Arc<Cpu>>>,
    /// CPUs of ordinary guests that were entered, by the address of the state description.
    pub(crate) ordinary: RwLock<BTreeMap<HostAddr, Arc<OrdinaryCpu>>>,
    /// The id of the next configuration: goes on over every reset, so that none is used twice.
    pub(crate) next_id: AtomicU32,
    /// The unique id of the next configuration, if it was chosen.
    pub(crate) next_uid: Mutex<Option<ConfigUid>>,
    pub(crate) spaces: RwLock<BTreeMap<u64, Arc<dyn GuestMap>>>,
    /// Spaces that nobody attached are tables in host memory.
    walks: AtomicBool,
    /// Control register 13 of the host's CPUs.
    pub(crate) home: RwLock<Option<u64>>,
    pub(crate) guests: Mutex<BTreeMap<HostAddr, Box<dyn GuestCode>>>,
    pub(crate) ap: RwLock<BTreeMap<Apqn, Arc<Mutex<Queue>>>>,
}

impl core::fmt::Debug for Machine {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Machine").field("generation", &self.generation).finish_non_exhaustive()
    }
}

impl Machine {
    /// A machine after power-on, with memory of its own, of which only what is used costs real memory: the Ultravisor is not
    /// initialized.
    #[must_use]
    pub fn new(config: MachineConfig) -> Self {
        let memory = Arc::new(HostMemory::new(config.memory));
        Self::with_memory(config, memory)
    }

    /// A machine over the caller's memory: a host absolute address is an address in `memory`, of which the machine has the first
    /// [`MachineConfig::memory`] bytes. A frame that is not all there can neither be donated nor hold a secure page.
    ///
    /// The Ultravisor writes there what a host may see: the ciphertext of exported pages, shared pages, zeros in what it
    /// gives back. The content of secure pages never lies there. Who reaches `memory` past [`Machine::host_memory`]
    /// asks [`Machine::closed_frames`] what a host cannot reach.
    #[must_use]
    pub fn with_memory(config: MachineConfig, memory: Arc<dyn NormalMemory>) -> Self {
        // A secure page lies in a host frame of its own, so there are never more of them than frames.
        let frames = u32::try_from(config.memory >> 12).unwrap_or(u32::MAX);
        let engine = Engine::new(EngineConfig { page_size: PageSize::K4, frames, seed: config.seed });
        let rng = engine.rng("ultravisor");
        Self {
            generation: config.generation,
            host_key: config.host_key,
            backup_key: config.backup_key,
            frame_address: config.frame_address,
            wrapping_key: RequestKey::random(&mut engine.rng("wrapping key")),
            storage: Arc::new(Storage::new(config.memory, memory)),
            engine,
            rng: Mutex::new(rng),
            clock: Clock::new(),
            running_cpus: AtomicU32::new(1),
            helped: AtomicBool::new(false),
            base: Mutex::new(None),
            confs: RwLock::new(BTreeMap::new()),
            owners: RwLock::new(BTreeMap::new()),
            cpus: RwLock::new(BTreeMap::new()),
            ordinary: RwLock::new(BTreeMap::new()),
            next_id: AtomicU32::new(1),
            next_uid: Mutex::new(None),
            spaces: RwLock::new(BTreeMap::new()),
            walks: AtomicBool::new(false),
            home: RwLock::new(None),
            guests: Mutex::new(BTreeMap::new()),
            ap: RwLock::new(BTreeMap::new()),
        }
    }

    /// Generation of the machine.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Host memory as the hypervisor reaches it.
    #[must_use]
    pub fn host_memory(&self) -> HostView {
        HostView(Arc::clone(&self.storage))
    }

    /// Which frames of host memory are closed to the host, as bits that can be looked at without a call.
    #[must_use]
    pub fn closed_frames(&self) -> Arc<ClosedFrames> {
        Arc::clone(self.storage.frames.closed())
    }

    /// Says whether an ASCE that nobody attached a map to ([`AddressSpaces::attach`]) designates tables in host memory, which the
    /// machine then walks as hardware does. For a hypervisor that runs on the emulated machine itself; off after power-on.
    pub fn walk_tables(&self, walk: bool) {
        self.walks.store(walk, Ordering::Relaxed);
    }

    /// How many host CPUs run; INIT_UV wants one.
    pub fn set_running_cpus(&self, count: u32) {
        self.running_cpus.store(count, Ordering::Relaxed);
    }

    /// Says whether the guest of a configuration may change its secret store; it may until this is said. ADD_SECRET and
    /// LOCK_SECRETS are refused with rc 0x0101 while it may not (UNSURE: public sources name the code, not who decides).
    /// Returns whether the handle exists.
    pub fn set_secret_changes(&self, conf_handle: u64, allowed: bool) -> bool {
        let conf = self.confs.read().get(&conf_handle).cloned();
        conf.map(|conf| conf.secrets.lock().closed = !allowed).is_some()
    }

    /// Chooses the unique id of the next configuration that is created; else it is random. For the operator, so that a run can
    /// be repeated with requests made for it: a real machine's cannot be chosen.
    pub fn set_next_config_uid(&self, uid: ConfigUid) {
        *self.next_uid.lock() = Some(uid);
    }

    /// Says what the guest CPU with its state description at `state` runs, as an ordinary and as a protected one. For the
    /// guest's owner; may be called before the CPU exists. A CPU for which nothing was said waits without end. What an ordinary
    /// CPU was doing is forgotten: the new code is asked at its next entry.
    pub fn set_guest(&self, state: HostAddr, code: impl GuestCode + 'static) {
        self.guests.lock().insert(state, Box::new(code));
        self.ordinary.write().remove(&state);
    }

    /// Lets time pass, in units of the TOD clock ([`TOD_PER_MICROSECOND`](super::TOD_PER_MICROSECOND)).
    pub fn advance_clock(&self, units: u64) {
        self.clock.advance(units);
    }

    /// The TOD clock.
    #[must_use]
    pub fn clock(&self) -> u64 {
        self.clock.now()
    }

    /// How many pages of a configuration stand in each state; `None` for an unknown handle. For tests and displays: no
    /// hypervisor of a real machine can ask that.
    #[must_use]
    pub fn page_counts(&self, conf_handle: u64) -> Option<PageCounts> {
        Some(self.confs.read().get(&conf_handle)?.space.counts())
    }

    /// Secure frames in use.
    #[must_use]
    pub fn secure_frames_in_use(&self) -> u64 {
        self.engine.frames_in_use()
    }

    /// Host reset "load normal" (host DIAG 308 subcode 1): every configuration ends, all donated storage is cleared and
    /// given back, the Ultravisor is not initialized again (s390-ultravisor §1.1). No call may be at work and no guest may run.
    pub fn load_normal(&self) {
        let confs = core::mem::take(&mut *self.confs.write());
        self.owners.write().clear();
        self.unassign_ap_queues(None);
        self.ordinary.write().clear();
        let cpus = core::mem::take(&mut *self.cpus.write());
        for cpu in cpus.values() {
            cpu.core.lock().destroyed = true;
            self.storage.give_back(&cpu.storage);
        }
        for conf in confs.values() {
            self.release_frames(conf, usize::MAX);
            conf.storage.lock().drain(..).for_each(|donation| self.storage.give_back(&donation));
        }
        if let Some(base) = self.base.lock().take() {
            self.storage.give_back(&base);
        }
        // What configurations destroyed fast have left behind.
        for (at, _) in self.storage.frames.owned() {
            if let Some(claim) = self.storage.claim_waiting(at) {
                self.storage.clear(at);
                claim.set(super::frames::Frame::Normal);
            }
        }
        tracing::info!("load-normal reset of the machine");
    }

    pub(crate) fn features(&self) -> Features {
        self.generation.features()
    }

    /// The host keys that open requests, whatever the guest's SE header says of backup keys (UNSURE).
    pub(crate) fn host_keys(&self) -> impl Iterator<Item = &HostPrivateKey> {
        core::iter::once(&self.host_key).chain(&self.backup_key)
    }

    /// The configuration with a handle.
    pub(crate) fn conf(&self, handle: u64) -> Result<Arc<Conf>, Refusal> {
        self.confs.read().get(&handle).cloned().ok_or_else(|| UvRc::INVALID_CONF_HANDLE.into())
    }

    /// The CPU with a handle.
    pub(crate) fn cpu(&self, handle: u64) -> Result<Arc<Cpu>, Refusal> {
        self.cpus.read().get(&handle).cloned().ok_or_else(|| UvRc::INVALID_CPU_HANDLE.into())
    }

    /// The configuration that frame words name.
    pub(crate) fn owner(&self, id: ConfId) -> Option<Arc<Conf>> {
        self.owners.read().get(&id).cloned()
    }

    /// A fresh handle: random, so that no change of bits leads to another one.
    pub(crate) fn fresh_handle(&self) -> u64 {
        loop {
            let handle = self.rng.lock().next_u64();
            if handle != 0 && !self.confs.read().contains_key(&handle) && !self.cpus.read().contains_key(&handle) {
                return handle;
            }
        }
    }

    /// The address space behind an ASCE.
    pub(crate) fn space(&self, asce: u64) -> Option<Arc<dyn GuestMap>> {
        let attached = self.spaces.read().get(&asce).cloned();
        let walked = || {
            let tables = Tables { storage: Arc::clone(&self.storage), asce: Asce(asce) };
            self.walks.load(Ordering::Relaxed).then(|| Arc::new(tables) as Arc<dyn GuestMap>)
        };
        attached.or_else(walked)
    }

    /// Where the hypervisor's tables say that guest absolute `addr` lies.
    pub(crate) fn translate(&self, conf: &Conf, addr: GuestAddr) -> Option<HostMapping> {
        let map = self.space(conf.asce.0)?;
        let mut mapping = map.translate(GuestAddr(conf.mso.checked_add(addr.0)?))?;
        mapping.frame = HostAddr(mapping.frame.0 & !0xfff);
        Some(mapping)
    }

    /// The suite in which pages are exported.
    pub(crate) const SUITE: Suite = Suite::Aes256XtsPolyval;
}

impl AddressSpaces for Machine {
    fn attach(&self, asce: u64, map: Arc<dyn GuestMap>) {
        self.spaces.write().insert(asce, map);
    }

    fn detach(&self, asce: u64) {
        self.spaces.write().remove(&asce);
    }
}
