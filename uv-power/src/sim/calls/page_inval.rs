//! `UV_PAGE_INVAL` (R4 lpid, R5 guest page, R6 order; power-pef §3.12).
//!
//! | # | check | documented | firmware |
//! |---|---|---|---|
//! | 1 | order ≠ 16 | `U_P3` | `U_P3` |
//! | 2 | lpid has no object | `U_PARAMETER` | `U_PARAMETER` |
//! | 3 | the transition failed | `U_PARAMETER` | `U_STATE` |
//! | 4 | guest page in no slot, not aligned | `U_P2` | `U_P3` |
//! | 5 | another CPU is at work on the page | `U_BUSY` | waits |
//! | 6 | secure, paged out, share requested, unshare confirmed | `U_P2` | `U_P2` |
//! | - | the normal page goes away; one that is away already stays so | `U_SUCCESS` | `U_SUCCESS` |
//!
//! A page whose normal page went away before the commit is forgotten: the published code keeps the stale address.

use super::super::inner::Inner;
use super::super::svm::{GfnState, Svm, SvmState};
use super::checks::{aborted, lock, page_in_slot, refused};
use crate::abi::codes::UvCode;
use crate::abi::numbers::PAGE_ORDER;
use crate::abi::regs::Regs;
use uv_core::{Gfn, PageState};
use uv_sim::SpaceError;

pub(super) fn page_inval(machine: &Inner, regs: &Regs) -> UvCode {
    let platform = &machine.platform;
    if regs.gpr[6] != PAGE_ORDER {
        return UvCode::U_P3;
    }
    let Some(svm) = machine.svm(regs.gpr[4]) else { return UvCode::U_PARAMETER };
    if svm.state() == SvmState::Abort {
        return aborted(platform);
    }
    let outside = if platform.firmware() { UvCode::U_P3 } else { UvCode::U_P2 };
    let Some(gfn) = page_in_slot(&svm, regs.gpr[5]) else { return outside };
    let done = match lock(platform, &svm, gfn, outside) {
        Ok(_held) => by_state(&svm, gfn),
        Err(code) => return code,
    };
    match done {
        Some(Ok(())) => UvCode::U_SUCCESS,
        None => UvCode::U_P2,
        Some(Err(error)) => refused(platform, error),
    }
}

/// `None`: the page has no normal page behind it.
fn by_state(svm: &Svm, gfn: Gfn) -> Option<Result<(), SpaceError>> {
    // A share that is taken back before its commit has its frame still: there is nothing to withdraw.
    let withdraw = |state| {
        if svm.space.state(gfn)? == PageState::Shared {
            svm.space.withdraw(gfn)?;
        }
        svm.set_gfn_state(gfn, state)
    };
    let forget = |state| {
        svm.forget_note(gfn);
        svm.set_gfn_state(gfn, state)
    };
    match svm.gfn_state(gfn) {
        GfnState::Secure | GfnState::PagedOut | GfnState::HvSharing | GfnState::HvUnshared => None,
        GfnState::Shared => Some(withdraw(GfnState::SharedInv)),
        GfnState::SharedImplicit => Some(withdraw(GfnState::SharedImplicitInv)),
        GfnState::HvUnsharing => Some(withdraw(GfnState::HvUnsharingInv)),
        GfnState::HvShared => Some(forget(GfnState::HvSharedInv)),
        GfnState::PseudoShared => Some(forget(GfnState::PseudoSharedInv)),
        GfnState::SharedInv
        | GfnState::SharedImplicitInv
        | GfnState::HvSharedInv
        | GfnState::HvUnsharingInv
        | GfnState::PseudoSharedInv => Some(Ok(())),
    }
}
