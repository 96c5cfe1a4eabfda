//! Sharing pages and taking them back, step by step (power-pef §15).

use spin::MutexGuard;
use uv_core::{Gfn, HostAddr, NormalMemory, PageRange, PageState};
use uv_sim::{Content, SpaceError};

use super::flow::Uv;
use super::svm::GfnState;
use crate::abi::codes::HvCode;
use crate::abi::numbers::{PAGE_BYTES, PageInFlags};

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
    /// The VM cannot go on.
    Lost(&'static str),
}

/// How often a page that is out is asked back before its share is given up.
const PAGE_IN_TRIES: u32 = 4;

impl Uv {
    fn check_range(&self, range: PageRange) -> Result<(), ShareError> {
        let slots = self.svm.slots.read();
        if slots.cover(range) && (range.count > 0 || self.platform.firmware()) {
            return Ok(());
        }
        Err(if slots.contains(range.first) { ShareError::Count } else { ShareError::First })
    }

    fn set(&self, gfn: Gfn, state: GfnState) -> Result<(), ShareError> {
        self.svm.set_gfn_state(gfn, state).map_err(|_| ShareError::Lost("page state cannot be kept"))
    }

    /// The lock of a page that is still in a slot.
    fn hold(&self, gfn: Gfn) -> Result<MutexGuard<'_, ()>, ShareError> {
        self.svm.hold(gfn).ok_or(ShareError::Lost("memory slot taken away"))
    }

    /// Shares pages: all of them or, when the hypervisor refuses one, none. A page that is shared already is left alone
    /// (documented: zeroed). A page in motion stops the call; pages before it that were delivered stay in motion, as in
    /// the published code.
    pub(crate) async fn share(&self, range: PageRange, kind: Kind) -> Result<(), ShareError> {
        self.check_range(range)?;
        for gfn in range.iter() {
            match self.svm.gfn_state(gfn) {
                GfnState::Shared | GfnState::SharedInv if kind == Kind::Explicit && !self.platform.firmware() => {
                    self.zero_shared(gfn, range.first).await?;
                    continue;
                }
                state if state.is_shared() => continue,
                state if state.is_transient() => return Err(ShareError::InMotion),
                GfnState::PagedOut if !self.bring_back(gfn).await => {
                    self.revert(PageRange::new(range.first, gfn.0 - range.first.0)).await?;
                    return Err(ShareError::Refused);
                }
                _ => {}
            }
            self.make_room(gfn).await;
            {
                let _held = self.hold(gfn)?;
                match self.svm.gfn_state(gfn) {
                    GfnState::Secure => self.set(gfn, GfnState::HvSharing)?,
                    // Another virtual CPU was faster.
                    _ => return Err(ShareError::InMotion),
                }
            }
            if self.page_in(gfn, PageInFlags::SHARED).await != HvCode::H_SUCCESS {
                self.revert(PageRange::new(range.first, gfn.0 - range.first.0 + 1)).await?;
                return Err(ShareError::Refused);
            }
            if self.svm.gfn_state(gfn) != GfnState::HvShared {
                return Err(ShareError::Lost("hypervisor reports a shared page that it did not deliver"));
            }
        }
        range.iter().try_for_each(|gfn| self.commit_share(gfn, kind))
    }

    /// Zeroes a page that is shared already, under its lock: the page that is written is the one that the hypervisor gave for it. One
    /// that it has taken back is asked for first; a refusal ends the share of the pages from `first` on.
    async fn zero_shared(&self, gfn: Gfn, first: Gfn) -> Result<(), ShareError> {
        for _ in 0..PAGE_IN_TRIES {
            {
                let _held = self.hold(gfn)?;
                match (self.svm.gfn_state(gfn), self.svm.space.shared_at(gfn)) {
                    (GfnState::Shared, Some(page)) => return zero(&*self.platform.memory, page),
                    (GfnState::SharedInv, _) => {}
                    _ => return Err(ShareError::InMotion),
                }
            }
            if self.page_in(gfn, PageInFlags::SHARED).await != HvCode::H_SUCCESS {
                break;
            }
        }
        self.revert(PageRange::new(first, gfn.0 - first.0)).await?;
        Err(ShareError::Refused)
    }

    /// Asks for a page that is out: up to four times, each only after an answer of success. What counts is that the page is there.
    async fn bring_back(&self, gfn: Gfn) -> bool {
        for attempt in 1..=PAGE_IN_TRIES {
            if self.page_in(gfn, PageInFlags::empty()).await != HvCode::H_SUCCESS {
                return false;
            }
            if self.svm.gfn_state(gfn) == GfnState::Secure {
                // The published code counts success at the last try as failure.
                return attempt < PAGE_IN_TRIES || !self.platform.firmware();
            }
        }
        false
    }

    fn commit_share(&self, gfn: Gfn, kind: Kind) -> Result<(), ShareError> {
        let _held = self.hold(gfn)?;
        match self.svm.gfn_state(gfn) {
            GfnState::HvShared => {}
            state if state.is_shared() => return Ok(()),
            _ => return Err(ShareError::Lost("normal page withdrawn before it was shared")),
        }
        let memory = &*self.platform.memory;
        let page = self.svm.noted(gfn).ok_or(ShareError::Lost("no normal page noted"))?;
        let lost = |_: SpaceError| ShareError::Lost("shared page cannot be mapped");
        let space = &self.svm.space;
        match kind {
            Kind::Explicit => {
                space.share(gfn, memory, page, Content::Zeroed).map_err(lost)?;
                self.svm.forget_note(gfn);
                self.set(gfn, GfnState::Shared)
            }
            Kind::Implicit => {
                space.share(gfn, memory, page, Content::Zeroed).map_err(lost)?;
                space.withdraw(gfn).map_err(lost)?;
                self.svm.forget_note(gfn);
                self.set(gfn, GfnState::SharedImplicit)
            }
            Kind::Pseudo => {
                zero(memory, page)?;
                self.set(gfn, GfnState::PseudoShared)
            }
        }
    }

    /// Takes back what the hypervisor delivered for a share that failed.
    async fn revert(&self, range: PageRange) -> Result<(), ShareError> {
        for gfn in range.iter() {
            let asked = {
                let _held = self.hold(gfn)?;
                match self.svm.gfn_state(gfn) {
                    GfnState::HvSharing => {
                        self.set(gfn, GfnState::Secure)?;
                        false
                    }
                    GfnState::HvShared | GfnState::HvSharedInv => {
                        self.set(gfn, GfnState::HvUnsharing)?;
                        true
                    }
                    _ => false,
                }
            };
            if asked {
                if self.page_in(gfn, PageInFlags::empty()).await != HvCode::H_SUCCESS {
                    return Err(ShareError::Lost("hypervisor does not give up a page"));
                }
                let _held = self.hold(gfn)?;
                self.svm.forget_note(gfn);
                self.set(gfn, GfnState::Secure)?;
            }
        }
        Ok(())
    }

    /// Takes pages back. Each that was shared comes back as zeros; so does one that is secure or paged out in the
    /// documented profile. The firmware leaves a secure page alone and loses the record of a paged-out one, which then
    /// is zeros.
    pub(crate) async fn unshare(&self, range: PageRange) -> Result<(), ShareError> {
        self.check_range(range)?;
        for gfn in range.iter() {
            match self.svm.gfn_state(gfn) {
                state if state.is_transient() => return Err(ShareError::InMotion),
                state if state.is_ultravisors() => return Err(ShareError::Ultravisors),
                _ => {}
            }
        }
        for gfn in range.iter() {
            self.ask_back(gfn).await?;
        }
        for gfn in range.iter() {
            self.take_back(gfn).await?;
        }
        Ok(())
    }

    /// Takes every page back that the guest shared. The firmware never looks at page 0.
    pub(crate) async fn unshare_all(&self) -> Result<(), ShareError> {
        let shared: alloc::vec::Vec<Gfn> =
            self.svm.space.used().map(|(gfn, _)| gfn).filter(|gfn| gfn.0 > 0 || !self.platform.firmware()).collect();
        for gfn in shared {
            match self.svm.gfn_state(gfn) {
                GfnState::Shared | GfnState::SharedInv => {
                    self.ask_back(gfn).await.map_err(|_| ShareError::Refused)?;
                    self.take_back(gfn).await?;
                }
                state if state.is_transient() => return Err(ShareError::InMotion),
                _ => {}
            }
        }
        Ok(())
    }

    async fn ask_back(&self, gfn: Gfn) -> Result<(), ShareError> {
        let before = {
            let _held = self.hold(gfn)?;
            let before = self.svm.gfn_state(gfn);
            if !matches!(before, GfnState::Shared | GfnState::SharedInv) {
                return Ok(());
            }
            self.set(gfn, GfnState::HvUnsharing)?;
            before
        };
        let refused = self.page_in(gfn, PageInFlags::empty()).await != HvCode::H_SUCCESS;
        let _held = self.hold(gfn)?;
        if refused {
            // For unshare-all the page goes back to what it was, but for a normal page that the hypervisor took away meanwhile; an
            // explicit unshare ends the VM.
            let away = self.svm.gfn_state(gfn) == GfnState::HvUnsharingInv;
            self.set(gfn, if away { GfnState::SharedInv } else { before })?;
            return Err(ShareError::Lost("hypervisor does not give up a shared page"));
        }
        self.set(gfn, GfnState::HvUnshared)
    }

    async fn take_back(&self, gfn: Gfn) -> Result<(), ShareError> {
        let lost = |_: SpaceError| ShareError::Lost("page cannot be taken back");
        if self.svm.gfn_state(gfn) == GfnState::HvUnshared {
            self.make_room(gfn).await;
        }
        let _held = self.hold(gfn)?;
        let space = &self.svm.space;
        match self.svm.gfn_state(gfn) {
            GfnState::HvUnshared => {
                space.unshare(gfn, &*self.platform.memory, Content::Zeroed).map_err(lost)?;
                self.svm.forget_note(gfn);
                self.set(gfn, GfnState::Secure)
            }
            GfnState::PagedOut => space.destroy(gfn).map_err(lost),
            GfnState::Secure if !self.platform.firmware() && space.state(gfn) == Ok(PageState::Secure) => {
                space.destroy(gfn).map_err(lost)
            }
            _ => Ok(()),
        }
    }
}

/// Zeroes a normal page. The caller holds the lock of the guest page that it serves.
fn zero(memory: &dyn NormalMemory, page: HostAddr) -> Result<(), ShareError> {
    const ZEROS: [u8; 4096] = [0; 4096];
    for offset in (0..PAGE_BYTES).step_by(ZEROS.len()) {
        memory.write(HostAddr(page.0 + offset), &ZEROS).map_err(|_| ShareError::Lost("normal page not there"))?;
    }
    Ok(())
}
