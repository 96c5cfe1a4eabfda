//! A secure VM as the ultravisor keeps it (power-pef §2.4).
//!
//! | state | entered by | meaning |
//! |---|---|---|
//! | none | start, `UV_SVM_TERMINATE` | the ultravisor does not know the partition |
//! | active | `UV_ESM` | the transition runs, the guest is still normal |
//! | secure | the commit of `UV_ESM` | runs with MSR.S |
//! | abort | the transition failed after `H_SVM_INIT_START` | waits for `UV_SVM_TERMINATE` |

pub(crate) mod cookies;
pub(crate) mod files;
mod gfn;
pub(crate) mod rtas;
mod slots;
pub(crate) mod tokens;

use alloc::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use spin::{Mutex, MutexGuard, RwLock};
use uv_core::{Gfn, HostAddr, PageRange, PageState};
use uv_sim::rng::SimRng;
use uv_sim::{Label, SecureSpace, SpaceError};

use crate::abi::regs::Lpid;
use cookies::Cookies;
use files::FileReads;
pub use gfn::GfnState;
use rtas::Rtas;
pub(crate) use slots::Slots;

/// Bit of a page's label beside its state: guest stores fault.
const WRITE_PROTECTED: u8 = 0x80;

/// State of the object of a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SvmState {
    /// The transition runs.
    Active,
    /// The VM is secure.
    Secure,
    /// The transition failed.
    Abort,
}

/// The object of one VM.
pub(crate) struct Svm {
    pub(crate) lpid: Lpid,
    state: RwLock<SvmState>,
    pub(crate) space: Arc<SecureSpace>,
    /// Whoever looks at them for a page of which more than the state is asked holds the page's lock first. Nobody waits for a page's
    /// lock while he writes them.
    pub(crate) slots: RwLock<Slots>,
    /// One change of the slots at a time.
    pub(crate) slot_change: Mutex<()>,
    /// Normal pages that the hypervisor named for pages whose engine state cannot hold them.
    noted: Mutex<BTreeMap<u64, HostAddr>>,
    locks: [Mutex<()>; 16],
    /// Pages that the transition asked for already.
    pub(crate) brought: Mutex<BTreeSet<u64>>,
    /// Units of 2 MiB reserved.
    pub(crate) reserved: AtomicU64,
    pub(crate) cookies: Mutex<Cookies>,
    pub(crate) rtas: RwLock<Option<Rtas>>,
    pub(crate) files: Mutex<FileReads>,
    pub(crate) max_vcpus: AtomicU32,
    killed: AtomicBool,
}

impl Svm {
    pub(crate) fn new(lpid: Lpid, space: Arc<SecureSpace>, rng: SimRng) -> Self {
        Self {
            lpid,
            state: RwLock::new(SvmState::Active),
            space,
            slots: RwLock::default(),
            slot_change: Mutex::new(()),
            noted: Mutex::default(),
            locks: [const { Mutex::new(()) }; 16],
            brought: Mutex::default(),
            reserved: AtomicU64::new(0),
            cookies: Mutex::new(Cookies::new(rng)),
            rtas: RwLock::default(),
            files: Mutex::default(),
            max_vcpus: AtomicU32::new(0),
            killed: AtomicBool::new(false),
        }
    }

    pub(crate) fn state(&self) -> SvmState {
        *self.state.read()
    }

    pub(crate) fn set_state(&self, state: SvmState) {
        tracing::debug!(lpid = self.lpid.0, ?state, "svm");
        *self.state.write() = state;
    }

    pub(crate) fn kill(&self) {
        self.killed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_killed(&self) -> bool {
        self.killed.load(Ordering::SeqCst)
    }

    /// Whether the transition asked for the page and got it: from then on its content counts.
    pub(crate) fn has_brought(&self, gfn: Gfn) -> bool {
        self.brought.lock().contains(&gfn.0)
    }

    /// The lock of a page, one of 16.
    pub(crate) fn lock(&self, gfn: Gfn) -> MutexGuard<'_, ()> {
        self.lock_of(gfn).lock()
    }

    /// The lock of a page if it is in a slot, once it is held.
    pub(crate) fn hold(&self, gfn: Gfn) -> Option<MutexGuard<'_, ()>> {
        let held = self.lock(gfn);
        self.slots.read().contains(gfn).then_some(held)
    }

    /// Waits for everybody who holds a page: who comes later sees the slots as they are now.
    pub(crate) fn wait_for_holders(&self) {
        self.locks.iter().for_each(|lock| drop(lock.lock()));
    }

    /// The lock of a page if nobody holds it.
    pub(crate) fn try_lock(&self, gfn: Gfn) -> Option<MutexGuard<'_, ()>> {
        self.lock_of(gfn).try_lock()
    }

    fn lock_of(&self, gfn: Gfn) -> &Mutex<()> {
        &self.locks[usize::try_from(gfn.0 & 15).unwrap_or(0)]
    }

    /// The state of a page in a slot.
    pub(crate) fn gfn_state(&self, gfn: Gfn) -> GfnState {
        match self.space.state(gfn) {
            Ok(PageState::Sealed) => GfnState::PagedOut,
            Ok(_) => self
                .space
                .label(gfn)
                .ok()
                .and_then(|label| GfnState::try_from(label.0 & !WRITE_PROTECTED).ok())
                .unwrap_or(GfnState::Secure),
            Err(_) => GfnState::Secure,
        }
    }

    /// Whether guest stores to a page fault.
    pub(crate) fn is_write_protected(&self, gfn: Gfn) -> bool {
        self.space.label(gfn).is_ok_and(|label| label.0 & WRITE_PROTECTED != 0)
    }

    /// Protects a page that is not absent against guest stores, or lifts the protection.
    pub(crate) fn set_write_protected(&self, gfn: Gfn, protect: bool) -> Result<(), SpaceError> {
        let old = self.space.label(gfn)?.0;
        let new = if protect { old | WRITE_PROTECTED } else { old & !WRITE_PROTECTED };
        if new == old { Ok(()) } else { self.space.set_label(gfn, Label(new)) }
    }

    /// Gives a page a state of its own and takes its write protection away. A page that has no frame yet gets one of zeros.
    pub(crate) fn set_gfn_state(&self, gfn: Gfn, state: GfnState) -> Result<(), SpaceError> {
        if self.space.state(gfn)? == PageState::Absent {
            if state == GfnState::Secure {
                return Ok(());
            }
            self.space.zero_in(gfn)?;
        }
        self.space.set_label(gfn, Label(state.into()))
    }

    pub(crate) fn note(&self, gfn: Gfn, page: HostAddr) {
        self.noted.lock().insert(gfn.0, page);
    }

    /// Forgets the notes of a range, and that the transition asked for its pages.
    pub(crate) fn forget_range(&self, range: PageRange) {
        self.noted.lock().retain(|gfn, _| !range.contains(Gfn(*gfn)));
        self.brought.lock().retain(|gfn| !range.contains(Gfn(*gfn)));
    }

    pub(crate) fn noted(&self, gfn: Gfn) -> Option<HostAddr> {
        self.noted.lock().get(&gfn.0).copied()
    }

    pub(crate) fn forget_note(&self, gfn: Gfn) -> Option<HostAddr> {
        self.noted.lock().remove(&gfn.0)
    }
}
