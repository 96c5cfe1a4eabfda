//! Who shares, why it fails, and one step of either.
//!
//! Each step looks at the page's state under its lock and makes one move. While a guest access to the page's normal page is at
//! work the engine refuses the move; the step is then repeated after the hypervisor had its turn ([`Uv::pause`]).

use spin::MutexGuard;
use uv_core::{Gfn, PageRange};
use uv_sim::SpaceError;

use crate::sim::flow::Uv;
use crate::sim::svm::GfnState;

/// Who shares, and so who sees the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The guest asked: guest and hypervisor see the normal page.
    Explicit,
    /// The ultravisor's buffer: ultravisor and hypervisor see it.
    Implicit,
    /// Only the hypervisor sees the normal page, the guest keeps its own.
    Pseudo,
}

/// Why pages were not shared or not taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShareError {
    /// The first page is in no slot.
    First,
    /// There are no pages, or one is in no slot.
    Count,
    /// A page is on its way already.
    InMotion,
    /// A page is shared by the ultravisor.
    Ultravisors,
    /// The hypervisor refused.
    Refused,
    /// A guest access is at work on the page: the step is repeated.
    Accessed,
    /// The VM cannot go on.
    Lost(&'static str),
}

impl ShareError {
    /// What an engine's refusal of a move means; `why` is said of one that ends the VM.
    pub(super) fn of(error: SpaceError, why: &'static str) -> Self {
        match error {
            SpaceError::Busy(_) => Self::Accessed,
            _ => Self::Lost(why),
        }
    }
}

impl Uv {
    pub(super) fn check_range(&self, range: PageRange) -> Result<(), ShareError> {
        let slots = self.svm.slots.read();
        if slots.cover(range) && (range.count > 0 || self.platform.firmware()) {
            return Ok(());
        }
        Err(if slots.contains(range.first) { ShareError::Count } else { ShareError::First })
    }

    pub(super) fn set(&self, gfn: Gfn, state: GfnState) -> Result<(), ShareError> {
        self.svm.set_gfn_state(gfn, state).map_err(|error| ShareError::of(error, "page state cannot be kept"))
    }

    /// The lock of a page that is still in a slot.
    fn hold(&self, gfn: Gfn) -> Result<MutexGuard<'_, ()>, ShareError> {
        self.svm.hold(gfn).ok_or(ShareError::Lost("memory slot taken away"))
    }

    /// Makes a step under the lock of its page, again and again while guest accesses are at work on the page.
    pub(super) async fn step<T>(
        &self,
        gfn: Gfn,
        mut act: impl FnMut() -> Result<T, ShareError>,
    ) -> Result<T, ShareError> {
        loop {
            let done = {
                let _held = self.hold(gfn)?;
                act()
            };
            match done {
                Err(ShareError::Accessed) => self.pause().await,
                other => return other,
            }
        }
    }
}
