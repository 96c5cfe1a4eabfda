//! A secure VM as the ultravisor keeps it (power-pef §2.4).
//!
//! | state | entered by | meaning |
//! |---|---|---|
//! | none | start, `UV_SVM_TERMINATE` | the ultravisor does not know the partition |
//! | active | `UV_ESM` | the transition runs, the guest is still normal |
//! | secure | the commit of `UV_ESM` | runs with MSR.S |
//! | abort | the transition failed after `H_SVM_INIT_START` | waits for `UV_SVM_TERMINATE` |

mod gfn;
mod slots;

use alloc::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use spin::{Mutex, MutexGuard, RwLock};
use uv_core::{Gfn, HostAddr, PageState};
use uv_sim::rng::SimRng;
use uv_sim::{Label, SecureSpace, SpaceError};

use super::calls::get_file::FileReads;
use super::reflect::cookies::Cookies;
use super::reflect::rtas::Rtas;
use crate::abi::regs::Lpid;
pub use gfn::GfnState;
pub(crate) use slots::Slots;

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
    pub(crate) slots: RwLock<Slots>,
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
                .and_then(|label| GfnState::try_from(label.0).ok())
                .unwrap_or(GfnState::Secure),
            Err(_) => GfnState::Secure,
        }
    }

    /// Gives a page a state of its own. A page that has no frame yet gets one of zeros.
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

    pub(crate) fn noted(&self, gfn: Gfn) -> Option<HostAddr> {
        self.noted.lock().get(&gfn.0).copied()
    }

    pub(crate) fn forget_note(&self, gfn: Gfn) -> Option<HostAddr> {
        self.noted.lock().remove(&gfn.0)
    }
}
