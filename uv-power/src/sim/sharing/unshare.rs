//! Taking shared pages back.

use uv_core::{Gfn, PageRange, PageState};
use uv_sim::Content;

use super::step::ShareError;
use crate::abi::codes::HvCode;
use crate::abi::numbers::PageInFlags;
use crate::sim::flow::Uv;
use crate::sim::svm::GfnState;

impl Uv {
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
        let before = self.step(gfn, || match self.svm.gfn_state(gfn) {
            before @ (GfnState::Shared | GfnState::SharedInv) => {
                self.set(gfn, GfnState::HvUnsharing).map(|()| Some(before))
            }
            _ => Ok(None),
        });
        let Some(before) = before.await? else { return Ok(()) };
        if self.page_in(gfn, PageInFlags::empty()).await == HvCode::H_SUCCESS {
            return self.step(gfn, || self.set(gfn, GfnState::HvUnshared)).await;
        }
        // For unshare-all the page goes back to what it was, but for a normal page that the hypervisor took away meanwhile; an
        // explicit unshare ends the VM.
        self.step(gfn, || {
            let away = self.svm.gfn_state(gfn) == GfnState::HvUnsharingInv;
            self.set(gfn, if away { GfnState::SharedInv } else { before })
        })
        .await?;
        Err(ShareError::Lost("hypervisor does not give up a shared page"))
    }

    async fn take_back(&self, gfn: Gfn) -> Result<(), ShareError> {
        if self.svm.gfn_state(gfn) == GfnState::HvUnshared {
            self.make_room(gfn).await;
        }
        let lost = |error| ShareError::of(error, "page cannot be taken back");
        let space = &self.svm.space;
        self.step(gfn, || match self.svm.gfn_state(gfn) {
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
        })
        .await
    }
}
