//! A secure configuration: one protected VM, as the Ultravisor keeps it.

use super::answer::Refusal;
use super::cpu::{Cpu, LoadFrom};
use super::frames::ConfId;
use super::measure::Measure;
use super::memory::Donation;
use super::resume::Resumable;
use super::secrets::SecretStore;
use super::session::Session;
use crate::abi::se_header::SeHeader;
use crate::abi::sie::Asce;
use crate::abi::uvc::UvRc;
use crate::abi::uvcb::ConfFlags;
use crate::owner::image::PageCipher;
use crate::owner::se_header::OpenedHeader;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64};
use spin::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use uv_core::{Gfn, GuestAddr};
use uv_sim::SecureSpace;

/// How far a configuration has come.
///
/// ```text
/// Created ──SET_SEC_CONF_PARAMS──▶ Unpacking ──VERIFY_IMG──▶ Verified
///    ▲                                  └──────fails──────▶ Failed
/// Partial (creation failed half way: rc 0x8xxx)
/// ```
/// From every phase DESTROY_SEC_CONF ends the configuration, through `Ending` where it needs several issues; from `Partial`,
/// `Failed` and `Ending` nothing else leads on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Partial,
    Created,
    Unpacking,
    Verified,
    Failed,
    /// DESTROY_SEC_CONF has done a part.
    Ending,
}

/// Where a reset inside protection stands (s390-ultravisor §3.2). CPUs can be entered in `None`, and all but the one that
/// asked in `Asked`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reset {
    /// No reset is under way.
    None,
    /// The guest issued DIAG 308 subcode 0 or 1.
    Asked,
    /// All shared pages are private again.
    Unshared,
    /// PREPARE_RESET is done: CPU resets and the load of the PSW follow.
    Prepared,
}

/// What changes over a configuration's life.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) phase: Phase,
    pub(crate) reset: Reset,
    /// Whether the reset under way clears (subcode 0).
    pub(crate) clearing: bool,
    /// CPU number of the one that issued the DIAG 308.
    pub(crate) initiator: Option<u16>,
    pub(crate) load_from: LoadFrom,
    /// Whether a CPU was set to operating-load since VERIFY_IMG or PREPARE_RESET.
    pub(crate) loaded: bool,
    pub(crate) dumping: bool,
}

/// An SE header that was accepted, and what it gave.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) header: SeHeader,
    pub(crate) opened: OpenedHeader,
    pub(crate) cipher: PageCipher,
}

pub(crate) struct Conf {
    pub(crate) id: ConfId,
    pub(crate) handle: u64,
    /// What the guest may do.
    pub(crate) flags: ConfFlags,
    pub(crate) asce: Asce,
    pub(crate) mso: u64,
    /// Bytes of guest storage: the length of the creation, not a limit as in the state description.
    pub(crate) msl: u64,
    /// Host absolute address of the SCA.
    pub(crate) sca: u64,
    pub(crate) space: Arc<SecureSpace>,
    pub(crate) storage: Mutex<Vec<Donation>>,
    pub(crate) life: Mutex<Life>,
    pub(crate) image: RwLock<Option<Arc<Image>>>,
    /// A page was destroyed before VERIFY_IMG: what was measured may be gone.
    pub(crate) lost: AtomicBool,
    /// Held while a page is unpacked: the digests depend on the order.
    pub(crate) measure: Measure,
    pub(crate) cpus: RwLock<BTreeMap<u16, Arc<Cpu>>>,
    pub(crate) secrets: Mutex<SecretStore>,
    /// The dump that has begun. Read by calls that make pages secure or seal registers; written by those that begin, tell of
    /// pages and end, and by SET_UNSHARE_ALL, which no import may cross.
    pub(crate) dump: RwLock<Option<Session>>,
    /// The call on the configuration that has answered cc 3 last.
    pub(crate) resumable: Resumable,
    /// Host absolute address up to which DESTROY_SEC_CONF has given frames back.
    pub(crate) released: AtomicU64,
    /// Number of the page up to which SET_UNSHARE_ALL has come.
    pub(crate) unshared: AtomicU64,
    /// Service-signal interruptions are masked: no SERVC was seen since the last one. They float, so this is not a CPU's.
    pub(crate) service_masked: AtomicBool,
    pub(crate) uid: [u8; 16],
    /// The guest's storage is the machine's, in clear: whoever emulates the guest's CPUs reaches it there. No frame is claimed and
    /// no page is in the engine; the bits of the closed frames alone say what is private.
    pub(crate) in_place: bool,
    /// Read by every call at work on the configuration, written by the one that ends it; `false` after the end.
    alive: RwLock<bool>,
}

/// What a new configuration is made of.
pub(crate) struct NewConf {
    pub(crate) id: ConfId,
    pub(crate) handle: u64,
    pub(crate) flags: ConfFlags,
    pub(crate) asce: Asce,
    pub(crate) mso: u64,
    /// Bytes of guest storage: the length of the creation, not a limit as in the state description.
    pub(crate) msl: u64,
    /// Host absolute address of the SCA.
    pub(crate) sca: u64,
    pub(crate) space: Arc<SecureSpace>,
    pub(crate) uid: [u8; 16],
    pub(crate) in_place: bool,
}

impl Conf {
    /// A configuration without storage, in phase `Partial`.
    pub(crate) fn new(new: NewConf) -> Self {
        Self {
            id: new.id,
            handle: new.handle,
            flags: new.flags,
            asce: new.asce,
            mso: new.mso,
            msl: new.msl,
            sca: new.sca,
            space: new.space,
            storage: Mutex::new(Vec::new()),
            life: Mutex::new(Life {
                phase: Phase::Partial,
                reset: Reset::None,
                clearing: false,
                initiator: None,
                load_from: LoadFrom::Header,
                loaded: false,
                dumping: false,
            }),
            image: RwLock::new(None),
            lost: AtomicBool::new(false),
            measure: Measure::default(),
            cpus: RwLock::new(BTreeMap::new()),
            secrets: Mutex::new(SecretStore::default()),
            dump: RwLock::new(None),
            resumable: Resumable::default(),
            released: AtomicU64::new(0),
            unshared: AtomicU64::new(0),
            service_masked: AtomicBool::new(true),
            uid: new.uid,
            in_place: new.in_place,
            alive: RwLock::new(true),
        }
    }

    /// Keeps the configuration from being ended for as long as the guard lives.
    pub(crate) fn open(&self) -> Result<RwLockReadGuard<'_, bool>, Refusal> {
        let alive = self.alive.try_read().ok_or(Refusal::Busy)?;
        if *alive { Ok(alive) } else { Err(UvRc::INVALID_CONF_HANDLE.into()) }
    }

    /// As [`Conf::open`], for calls that need a whole configuration.
    pub(crate) fn open_whole(&self) -> Result<RwLockReadGuard<'_, bool>, Refusal> {
        let alive = self.open()?;
        match self.life.lock().phase {
            Phase::Partial | Phase::Ending => Err(UvRc::STATE.into()),
            Phase::Created | Phase::Unpacking | Phase::Verified | Phase::Failed => Ok(alive),
        }
    }

    /// Keeps every other call away: for the one that ends the configuration.
    pub(crate) fn close(&self) -> Result<RwLockWriteGuard<'_, bool>, Refusal> {
        let alive = self.alive.try_write().ok_or(Refusal::Busy)?;
        if *alive { Ok(alive) } else { Err(UvRc::INVALID_CONF_HANDLE.into()) }
    }

    /// Wipes what the configuration keeps of its owner's secrets: for the call that ends it.
    pub(crate) fn forget(&self) {
        *self.image.write() = None;
        *self.secrets.lock() = SecretStore::default();
        *self.dump.write() = None;
    }

    /// The page at guest absolute `addr`; `None` outside guest storage.
    pub(crate) fn gfn(&self, addr: GuestAddr) -> Option<Gfn> {
        (addr.0 < self.msl).then_some(Gfn(addr.0 >> 12))
    }

    /// The guest absolute address of an address seen through the guest ASCE; `None` outside guest storage.
    pub(crate) fn absolute(&self, seen: u64) -> Option<GuestAddr> {
        seen.checked_sub(self.mso).filter(|addr| *addr < self.msl).map(GuestAddr)
    }

    /// The page that begins at an address seen through the guest ASCE, with its guest absolute address; `None` where no page of
    /// guest storage begins.
    pub(crate) fn seen_page(&self, seen: u64) -> Option<(GuestAddr, Gfn)> {
        let addr = self.absolute(seen).filter(|addr| addr.0 & 0xfff == 0)?;
        Some((addr, Gfn(addr.0 >> 12)))
    }

    /// Whether every CPU is stopped; `Busy` when one is running right now.
    pub(crate) fn all_stopped(&self) -> Result<bool, Refusal> {
        for cpu in self.cpus.read().values() {
            if !cpu.core.try_lock().ok_or(Refusal::Busy)?.is_stopped() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl core::fmt::Debug for Conf {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Conf").field("id", &self.id).field("life", &self.life).finish_non_exhaustive()
    }
}
