//! Sharing pages, and taking back what the hypervisor delivered for a share that failed.

use uv_core::{Gfn, HostAddr, NormalMemory, PageRange};
use uv_sim::Content;

use super::step::{Kind, ShareError};
use crate::abi::codes::HvCode;
use crate::abi::numbers::{PAGE_BYTES, PageInFlags};
use crate::sim::flow::Uv;
use crate::sim::svm::GfnState;

/// How often a page that is out is asked back before its share is given up.
const PAGE_IN_TRIES: u32 = 4;

impl Uv {
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
            self.step(gfn, || match self.svm.gfn_state(gfn) {
                GfnState::Secure => self.set(gfn, GfnState::HvSharing),
                // Another virtual CPU was faster.
                _ => Err(ShareError::InMotion),
            })
            .await?;
            if self.page_in(gfn, PageInFlags::SHARED).await != HvCode::H_SUCCESS {
                self.revert(PageRange::new(range.first, gfn.0 - range.first.0 + 1)).await?;
                return Err(ShareError::Refused);
            }
            if self.svm.gfn_state(gfn) != GfnState::HvShared {
                return Err(ShareError::Lost("hypervisor reports a shared page that it did not deliver"));
            }
        }
        for gfn in range.iter() {
            self.step(gfn, || self.commit_share(gfn, kind)).await?;
        }
        Ok(())
    }

    /// Zeroes a page that is shared already. One whose normal page the hypervisor has taken back is asked for first; a refusal ends
    /// the share of the pages from `first` on.
    async fn zero_shared(&self, gfn: Gfn, first: Gfn) -> Result<(), ShareError> {
        for _ in 0..PAGE_IN_TRIES {
            let zeroed = self.step(gfn, || match self.svm.gfn_state(gfn) {
                GfnState::Shared => {
                    let done = self.svm.space.zero_shared(gfn, &*self.platform.memory);
                    done.map(|()| true).map_err(|error| ShareError::of(error, "normal page not there"))
                }
                GfnState::SharedInv => Ok(false),
                _ => Err(ShareError::InMotion),
            });
            if zeroed.await? {
                return Ok(());
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

    /// The caller holds the page's lock.
    fn commit_share(&self, gfn: Gfn, kind: Kind) -> Result<(), ShareError> {
        match self.svm.gfn_state(gfn) {
            GfnState::HvShared => {}
            state if state.is_shared() => return Ok(()),
            _ => return Err(ShareError::Lost("normal page withdrawn before it was shared")),
        }
        let memory = &*self.platform.memory;
        let page = self.svm.noted(gfn).ok_or(ShareError::Lost("no normal page noted"))?;
        let lost = |error| ShareError::of(error, "shared page cannot be mapped");
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
            let asked = self.step(gfn, || match self.svm.gfn_state(gfn) {
                GfnState::HvSharing => self.set(gfn, GfnState::Secure).map(|()| false),
                GfnState::HvShared | GfnState::HvSharedInv => self.set(gfn, GfnState::HvUnsharing).map(|()| true),
                _ => Ok(false),
            });
            if asked.await? {
                if self.page_in(gfn, PageInFlags::empty()).await != HvCode::H_SUCCESS {
                    return Err(ShareError::Lost("hypervisor does not give up a page"));
                }
                self.step(gfn, || {
                    self.svm.forget_note(gfn);
                    self.set(gfn, GfnState::Secure)
                })
                .await?;
            }
        }
        Ok(())
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
