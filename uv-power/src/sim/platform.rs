//! What all VMs of a machine share, as the ultravisor holds it.

mod memory_list;
mod sbe;
mod scom;
mod scom_list;

use super::config::MachineConfig;
use super::failure::EsmFailure;
use super::tpm::key::WrappingKey;
use crate::abi::Profile;
use crate::abi::regs::{Lpid, Spr};
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
pub use memory_list::{PlatformMemory, PlatformRange};
use rand_core::Rng;
use sbe::Sbe;
pub use scom::{Scom, ScomList};
pub use scom_list::ScomListError;
use spin::{Mutex, RwLock};
use uv_core::{NormalMemory, PageSize};
use uv_sim::rng::SimRng;
use uv_sim::{Engine, EngineConfig};

/// Pages in one unit of the firmware's allocator, 2 MiB.
pub(crate) const UNIT_PAGES: u64 = 32;

/// Shared by every VM and every flow.
pub(crate) struct Platform {
    pub(crate) profile: Profile,
    pub(crate) engine: Engine,
    pub(crate) memory: Arc<dyn NormalMemory>,
    pub(crate) key: WrappingKey,
    pub(crate) tolerate_failed_check: bool,
    pub(crate) partition_table: Mutex<BTreeMap<Lpid, (u64, u64)>>,
    /// How often a partition's translations were flushed.
    pub(crate) flushes: AtomicU64,
    /// Registers that the ultravisor may claim, by hardware thread.
    pub(crate) sprs: Mutex<BTreeMap<(u32, Spr), u64>>,
    /// SMFCTRL.D.
    pub(crate) debug_claimed: AtomicBool,
    pub(crate) scom: Mutex<Scom>,
    pub(crate) regions: Mutex<PlatformMemory>,
    pub(crate) sbe: Mutex<Sbe>,
    /// Byte order in which the hypervisor takes interrupts.
    pub(crate) hv_little_endian: AtomicBool,
    /// Why transitions failed, by partition.
    pub(crate) failures: RwLock<BTreeMap<Lpid, EsmFailure>>,
    random: Mutex<SimRng>,
    reserved: AtomicU64,
}

impl Platform {
    pub(crate) fn new(config: MachineConfig, memory: Arc<dyn NormalMemory>) -> Self {
        let engine =
            Engine::new(EngineConfig { page_size: PageSize::K64, frames: config.secure_pages, seed: config.seed });
        let random = engine.rng("ultravisor");
        let enforce = config.enforce_scom_list.unwrap_or(config.profile == Profile::Documented);
        Self {
            profile: config.profile,
            engine,
            memory,
            key: config.key,
            tolerate_failed_check: config.tolerate_failed_check,
            partition_table: Mutex::default(),
            flushes: AtomicU64::new(0),
            sprs: Mutex::default(),
            debug_claimed: AtomicBool::new(false),
            scom: Mutex::new(Scom::new(enforce)),
            regions: Mutex::default(),
            sbe: Mutex::default(),
            hv_little_endian: AtomicBool::new(true),
            failures: RwLock::default(),
            random: Mutex::new(random),
            reserved: AtomicU64::new(0),
        }
    }

    /// A random number of the ultravisor's generator.
    pub(crate) fn random(&self) -> u64 {
        self.random.lock().next_u64()
    }

    /// Whether the firmware's behaviour is asked for.
    pub(crate) fn firmware(&self) -> bool {
        self.profile == Profile::Firmware
    }

    /// Counts units of 2 MiB as reserved; only the firmware reserves. `false` when there are not so many.
    pub(crate) fn reserve(&self, units: u64) -> bool {
        if !self.firmware() {
            return true;
        }
        let limit = self.engine.frames() / UNIT_PAGES;
        let take = |now: u64| now.checked_add(units).filter(|sum| *sum <= limit);
        self.reserved.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok()
    }

    /// Gives reserved units back.
    pub(crate) fn release(&self, units: u64) {
        if self.firmware() {
            let give = |now: u64| Some(now.saturating_sub(units));
            // The closure always gives a value, so the update is always made.
            let _ = self.reserved.fetch_update(Ordering::SeqCst, Ordering::SeqCst, give);
        }
    }

    /// A claimed register of a hardware thread.
    pub(crate) fn spr(&self, thread: u32, spr: Spr) -> u64 {
        self.sprs.lock().get(&(thread, spr)).copied().unwrap_or(0)
    }

    pub(crate) fn set_spr(&self, thread: u32, spr: Spr, value: u64) {
        self.sprs.lock().insert((thread, spr), value);
    }

    /// What a reflection does to the debug registers of its thread: they held the guest's values.
    pub(crate) fn mask_debug_registers(&self, thread: u32) {
        for spr in [Spr::DAWR, Spr::DAWRX, Spr::CIABR] {
            self.set_spr(thread, spr, 0);
        }
    }

    /// Writes a partition table entry and flushes the partition's translations.
    pub(crate) fn write_entry(&self, lpid: Lpid, dw0: u64, dw1: u64) {
        self.partition_table.lock().insert(lpid, (dw0, dw1));
        self.flushes.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a partition's entry was set to (0, 0).
    pub(crate) fn is_cleared(&self, lpid: Lpid) -> bool {
        self.partition_table.lock().get(&lpid) == Some(&(0, 0))
    }

    pub(crate) fn entry(&self, lpid: Lpid) -> (u64, u64) {
        self.partition_table.lock().get(&lpid).copied().unwrap_or((0, 0))
    }
}
