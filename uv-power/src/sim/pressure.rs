//! Pages asked for, and room made for them when secure memory runs out (power-pef §16).
//!
//! The firmware reserves all memory of a slot at its registration and never asks for a page-out. The documented
//! ultravisor asks the hypervisor to page out a page that the guest has not used for a while, before it takes a frame.

use uv_core::Gfn;

use super::flow::Uv;
use super::svm::GfnState;
use crate::abi::codes::HvCode;
use crate::abi::numbers::{HvCall, PAGE_ORDER, PageInFlags};

/// Pages asked for before the ultravisor goes on without.
const TRIES: u32 = 32;
/// Pages looked at for one that can go.
const LOOKS: u64 = 1024;

impl Uv {
    /// Sees to it that a frame is free, by asking the hypervisor to page out cold pages of this VM other than `keep`. The
    /// hypervisor may refuse a page: then another one is chosen, and after some tries the caller finds no frame.
    pub(crate) async fn make_room(&self, keep: Gfn) {
        if self.platform.firmware() {
            return;
        }
        let engine = &self.platform.engine;
        for _ in 0..TRIES {
            if engine.frames_in_use() < engine.frames() {
                return;
            }
            let Some(gfn) = self.victim(keep) else { return };
            let answer = self.hypercall(HvCall::H_SVM_PAGE_OUT, &[gfn.0 << PAGE_ORDER, 0, PAGE_ORDER]).await;
            if answer.code != HvCode::H_SUCCESS {
                tracing::debug!(%gfn, code = %answer.code, "hypervisor refused to page out");
            }
        }
    }

    /// `H_SVM_PAGE_IN` of one page, after making room for it where that is the profile's way.
    pub(crate) async fn page_in(&self, gfn: Gfn, flags: PageInFlags) -> HvCode {
        if flags.is_empty() {
            self.make_room(gfn).await;
        }
        self.hypercall(HvCall::H_SVM_PAGE_IN, &[gfn.0 << PAGE_ORDER, flags.bits(), PAGE_ORDER]).await.code
    }

    fn victim(&self, keep: Gfn) -> Option<Gfn> {
        let can_go = |gfn: &Gfn| *gfn != keep && self.svm.gfn_state(*gfn) == GfnState::Secure;
        (0..LOOKS).map_while(|_| self.svm.space.cold_page()).find(can_go)
    }
}
