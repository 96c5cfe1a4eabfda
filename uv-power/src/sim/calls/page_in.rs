//! `UV_PAGE_IN` (R4 lpid, R5 normal page, R6 guest page, R7 flags, R8 order; power-pef §3.10).
//!
//! | # | check | documented | firmware |
//! |---|---|---|---|
//! | 1 | order ≠ 16 | `U_P5` | `U_P5` |
//! | 2 | normal page 0, secure, not aligned | `U_P2` | `U_P2` |
//! | 3 | lpid has no object | `U_PARAMETER` | `U_PARAMETER` |
//! | 4 | the transition failed | `U_PARAMETER` | `U_STATE` |
//! | 5 | guest page in no slot, not aligned | `U_P3` | `U_P3` |
//! | 6 | flags unknown, or cache inhibited and enabled | `U_P4` | ignored |
//! | 7 | another CPU is at work on the page | `U_BUSY` | waits |
//!
//! | page before | VM | effect | result | page after |
//! |---|---|---|---|---|
//! | secure, unshare confirmed | active | content copied as it is | `U_SUCCESS` | secure |
//! | secure, and the transition has it already | active | documented: -; firmware: copied again | `U_P3`; `U_SUCCESS` | secure |
//! | secure | secure | - | documented: `U_P3`; firmware: `U_P2` | unchanged |
//! | unshare confirmed | secure | - | documented: `U_BUSY`; firmware: `U_P2` | unchanged |
//! | paged out | secure | decrypted and checked | `U_SUCCESS`, else `U_P3` | secure, else unchanged |
//! | paged out | active | documented: decrypted and checked; firmware: copied as it is, record dropped | `U_SUCCESS`, else `U_P3` | secure |
//! | shared (away or not) | any | mapped to the normal page | `U_SUCCESS` | shared |
//! | shared by the ultravisor, pseudo-shared | any | normal page noted | `U_SUCCESS` | the same, not away |
//! | share requested, delivered, withdrawn | any | normal page noted | `U_SUCCESS` | delivered |
//! | unshare requested, invalidated | any | - | `U_SUCCESS` | unshare requested |
//!
//! The two documented differences close a gap of the firmware: a hypervisor that pages in again what was measured already, or
//! swaps it while it is out, would start a guest of its own making.
//!
//! A page that was refused for what it is gets the code of its address (documented). With the flag write protection (documented) the
//! page's mapping is write protected: a guest's store faults (0xe00) until the page is paged in without the flag.
//!
//! No secure frame for a page that comes back: `U_BUSY` documented, `U_RETRY` firmware (where it cannot happen: memory is
//! reserved).

use super::super::inner::Inner;
use super::super::platform::Platform;
use super::super::svm::{GfnState, Svm, SvmState};
use super::checks::{aborted, lock, normal_page, page_in_slot, refused};
use crate::abi::codes::UvCode;
use crate::abi::numbers::{PAGE_BYTES, PAGE_ORDER, UvPageInFlags};
use crate::abi::regs::Regs;
use uv_core::{Gfn, HostAddr, PageState};
use uv_sim::SpaceError;

/// A mapping is cached or it is not.
const CACHES: UvPageInFlags = UvPageInFlags::CACHE_INHIBITED.union(UvPageInFlags::CACHE_ENABLED);

pub(super) fn page_in(machine: &Inner, regs: &Regs) -> UvCode {
    let platform = &machine.platform;
    if regs.gpr[8] != PAGE_ORDER {
        return UvCode::U_P5;
    }
    let Some(source) = normal_page(regs.gpr[5]) else { return UvCode::U_P2 };
    let Some(svm) = machine.svm(regs.gpr[4]) else { return UvCode::U_PARAMETER };
    if svm.state() == SvmState::Abort {
        return aborted(platform);
    }
    let Some(gfn) = page_in_slot(&svm, regs.gpr[6]) else { return UvCode::U_P3 };
    let flags = match UvPageInFlags::from_bits(regs.gpr[7]) {
        _ if platform.firmware() => UvPageInFlags::empty(),
        Some(flags) if !flags.contains(CACHES) => flags,
        _ => return UvCode::U_P4,
    };
    let code = match lock(platform, &svm, gfn, UvCode::U_P3) {
        Ok(_held) => by_state(platform, &svm, gfn, source, flags.contains(UvPageInFlags::WRITE_PROTECTION)),
        Err(code) => code,
    };
    tracing::trace!(lpid = svm.lpid.0, %gfn, %code, "UV_PAGE_IN");
    code
}

fn by_state(platform: &Platform, svm: &Svm, gfn: Gfn, source: HostAddr, protect: bool) -> UvCode {
    let resident = if platform.firmware() { UvCode::U_P2 } else { UvCode::U_P3 };
    let memory = &*platform.memory;
    let state = svm.gfn_state(gfn);
    let done = match (state, svm.state()) {
        (GfnState::HvUnshared, SvmState::Secure) if !platform.firmware() => return UvCode::U_BUSY,
        (GfnState::Secure | GfnState::HvUnshared, SvmState::Secure) => return resident,
        (GfnState::Secure, SvmState::Active) if !platform.firmware() && svm.has_brought(gfn) => return resident,
        (GfnState::PagedOut, owner) if owner == SvmState::Secure || !platform.firmware() => svm
            .set_write_protected(gfn, protect)
            .and_then(|()| svm.space.open_in(gfn.into(), memory, source).map_err(|e| e.error)),
        (GfnState::Secure | GfnState::HvUnshared | GfnState::PagedOut, _) => {
            copy_in(platform, svm, gfn, source).and_then(|()| svm.set_write_protected(gfn, protect))
        }
        (GfnState::Shared | GfnState::SharedInv, _) => memory
            .check(source, PAGE_BYTES)
            .map_err(SpaceError::from)
            .and_then(|()| svm.set_gfn_state(gfn, GfnState::Shared))
            .and_then(|()| svm.set_write_protected(gfn, protect))
            .and_then(|()| svm.space.restore(gfn, memory, source)),
        (GfnState::SharedImplicit | GfnState::SharedImplicitInv, _) => memory
            .check(source, PAGE_BYTES)
            .map_err(SpaceError::from)
            .and_then(|()| svm.space.restore_withdrawn(gfn, memory, source))
            .and_then(|()| svm.set_gfn_state(gfn, GfnState::SharedImplicit)),
        (GfnState::PseudoShared | GfnState::PseudoSharedInv, _) => {
            note(platform, svm, gfn, source, GfnState::PseudoShared)
        }
        (GfnState::HvSharing | GfnState::HvShared | GfnState::HvSharedInv, _) => {
            note(platform, svm, gfn, source, GfnState::HvShared)
        }
        (GfnState::HvUnsharing | GfnState::HvUnsharingInv, _) => svm.set_gfn_state(gfn, GfnState::HvUnsharing),
    };
    match done {
        Ok(()) => UvCode::U_SUCCESS,
        Err(error) => refused(platform, error),
    }
}

/// Plaintext of the image: as it is.
fn copy_in(platform: &Platform, svm: &Svm, gfn: Gfn, source: HostAddr) -> Result<(), SpaceError> {
    platform.memory.check(source, PAGE_BYTES)?;
    if !matches!(svm.space.state(gfn)?, PageState::Absent | PageState::Secure) {
        svm.space.destroy(gfn)?;
    }
    svm.forget_note(gfn);
    svm.space.fill::<SpaceError>(gfn.into(), &*platform.memory, source, |_, _| Ok(())).map_err(|e| e.error)?;
    svm.set_gfn_state(gfn, GfnState::Secure)
}

fn note(platform: &Platform, svm: &Svm, gfn: Gfn, source: HostAddr, state: GfnState) -> Result<(), SpaceError> {
    platform.memory.check(source, PAGE_BYTES)?;
    svm.set_gfn_state(gfn, state)?;
    svm.note(gfn, source);
    Ok(())
}
