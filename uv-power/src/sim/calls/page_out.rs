//! `UV_PAGE_OUT` (R4 lpid, R5 normal page, R6 guest page, R7 flags, R8 order; power-pef §3.11).
//!
//! | # | check | documented | firmware |
//! |---|---|---|---|
//! | 1 | order ≠ 16 | `U_P5` | `U_P5` |
//! | 2 | normal page 0, secure, not aligned | `U_P2` | `U_P2` |
//! | 3 | lpid has no object | `U_PARAMETER` | `U_PARAMETER` |
//! | 4 | guest page in no slot, not aligned | `U_P3` | `U_P3` |
//! | 5 | flags unknown | `U_P4` | ignored |
//! | 6 | another CPU is at work on the page | `U_BUSY` | waits |
//! | 7 | unshare confirmed, not committed | `U_BUSY` | `U_RETRY` |
//! | 8 | shared in any way, committed | `U_SUCCESS`, nothing done | `U_PARAMETER` |
//! | 9 | in motion | `U_BUSY` | `U_PARAMETER` |
//! | 9a | paged out already | `U_P3` | `U_PARAMETER` |
//! | 10 | the transition failed | the page's content goes out as it is | `U_SUCCESS`, nothing written |
//! | 11 | flag snapshot | encrypted copy, the page stays mapped | flag ignored |
//! | - | encrypted into the normal page | `U_SUCCESS`, paged out | the same |
//!
//! A failed transition (row 10, documented "pages out normal contents"): all that was taken over is the hypervisor's
//! own plaintext, so the guest can go on as a normal VM. It is so until the first digest is right: the ultravisor never
//! runs a guest in that state, so no secret can be in the page.

use uv_core::{Gfn, HostAddr, PageState};
use uv_sim::{Content, SpaceError};

use super::super::inner::Inner;
use super::super::platform::Platform;
use super::super::svm::{GfnState, Svm, SvmState};
use super::checks::{busy, lock, normal_page, page_in_slot, refused};
use crate::abi::codes::UvCode;
use crate::abi::numbers::{PAGE_BYTES, PAGE_ORDER, UvPageOutFlags};
use crate::abi::regs::Regs;

pub(super) fn page_out(machine: &Inner, regs: &Regs) -> UvCode {
    let platform = &machine.platform;
    if regs.gpr[8] != PAGE_ORDER {
        return UvCode::U_P5;
    }
    let Some(target) = normal_page(regs.gpr[5]) else { return UvCode::U_P2 };
    let Some(svm) = machine.svm(regs.gpr[4]) else { return UvCode::U_PARAMETER };
    let Some(gfn) = page_in_slot(&svm, regs.gpr[6]) else { return UvCode::U_P3 };
    let flags = match UvPageOutFlags::from_bits(regs.gpr[7]) {
        _ if platform.firmware() => UvPageOutFlags::empty(),
        Some(flags) => flags,
        None => return UvCode::U_P4,
    };
    let code = match lock(platform, &svm, gfn, UvCode::U_P3) {
        Ok(_held) => by_state(platform, &svm, gfn, target, flags),
        Err(code) => code,
    };
    tracing::trace!(lpid = svm.lpid.0, %gfn, %code, "UV_PAGE_OUT");
    code
}

fn by_state(platform: &Platform, svm: &Svm, gfn: Gfn, target: HostAddr, flags: UvPageOutFlags) -> UvCode {
    match svm.gfn_state(gfn) {
        GfnState::HvUnshared => return busy(platform),
        GfnState::Secure => {}
        _ if platform.firmware() => return UvCode::U_PARAMETER,
        state if state.is_shared() => return UvCode::U_SUCCESS,
        state if state.is_transient() => return UvCode::U_BUSY,
        _ => return UvCode::U_P3,
    }
    let aborted = svm.state() == SvmState::Abort;
    if aborted && platform.firmware() {
        return UvCode::U_SUCCESS;
    }
    match move_out(platform, svm, gfn, target, flags, aborted) {
        Ok(()) => UvCode::U_SUCCESS,
        Err(SpaceError::State { .. }) if platform.firmware() => UvCode::U_PARAMETER,
        Err(error) => refused(platform, error),
    }
}

fn move_out(
    platform: &Platform,
    svm: &Svm,
    gfn: Gfn,
    target: HostAddr,
    flags: UvPageOutFlags,
    aborted: bool,
) -> Result<(), SpaceError> {
    let memory = &*platform.memory;
    memory.check(target, PAGE_BYTES)?;
    if aborted {
        // What the transition did not take over is still in normal memory.
        if svm.space.state(gfn)? == PageState::Secure {
            svm.space.share(gfn, memory, target, Content::Kept)?;
            svm.space.destroy(gfn)?;
        }
        return Ok(());
    }
    if svm.space.state(gfn)? == PageState::Absent {
        svm.space.zero_in(gfn)?;
    }
    if flags.contains(UvPageOutFlags::SNAPSHOT) {
        return svm.space.seal_copy(gfn, memory, target);
    }
    svm.space.seal_out(gfn.into(), memory, target).map_err(|e| e.error)
}
