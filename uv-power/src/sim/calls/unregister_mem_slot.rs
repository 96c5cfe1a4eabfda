//! `UV_UNREGISTER_MEM_SLOT` (R4 lpid, R5 slot; power-pef §3.9).
//!
//! | # | check | documented | firmware |
//! |---|---|---|---|
//! | 1 | lpid has no object | `U_PARAMETER` | `U_PARAMETER` (the published code crashes) |
//! | 2 | slot number ≥ 512 | `U_P2`, judged over 64 bits | `U_P2` (out of bounds there), judged over the low 16 bits |
//! | 3 | no slot has the number | `U_P2` | `U_SUCCESS` |
//! | 4 | a guest access to a shared page of the slot does not end | `U_BUSY`; the slot stays, pages before that one are zeros | `U_RETRY` |
//! | - | every page of the slot is given up | `U_SUCCESS` | `U_SUCCESS` |
//!
//! The published code releases the whole guest table when any number is unregistered while one slot is left; here only
//! the slot that was named goes. The firmware keeps what was reserved until the VM ends.

use uv_core::PageRange;
use uv_sim::SpaceError;

use super::super::inner::Inner;
use super::super::svm::Svm;
use super::checks::{ACCESS_TRIES, busy, slot_number};
use crate::abi::codes::UvCode;
use crate::abi::numbers::MEM_SLOTS;
use crate::abi::regs::Regs;

pub(super) fn unregister(machine: &Inner, regs: &Regs) -> UvCode {
    let platform = &machine.platform;
    let Some(svm) = machine.svm(regs.gpr[4]) else { return UvCode::U_PARAMETER };
    let id = if platform.firmware() { Some(slot_number(regs.gpr[5])) } else { u16::try_from(regs.gpr[5]).ok() };
    let Some(id) = id.filter(|id| *id < MEM_SLOTS) else { return UvCode::U_P2 };
    let _change = svm.slot_change.lock();
    let removed = svm.slots.write().remove(id);
    match removed {
        Some(range) if !give_up(&svm, range) => {
            svm.slots.write().insert(id, range);
            busy(platform)
        }
        Some(_) => {
            tracing::debug!(lpid = svm.lpid.0, id, "memory slot unregistered");
            UvCode::U_SUCCESS
        }
        None if platform.firmware() => UvCode::U_SUCCESS,
        None => UvCode::U_P2,
    }
}

/// Makes every page of a range absent: content wiped, records and notes forgotten. The range is in no slot any more, so nobody who
/// takes a page's lock from now on puts anything into it. `false` at a page that a guest access holds for too long.
pub(super) fn give_up(svm: &Svm, range: PageRange) -> bool {
    svm.wait_for_holders();
    let gone = svm.space.used_in(range).all(|(gfn, _)| {
        let _held = svm.lock(gfn);
        (0..ACCESS_TRIES).any(|_| !matches!(svm.space.destroy(gfn), Err(SpaceError::Busy(_))))
    });
    if gone {
        svm.forget_range(range);
    }
    gone
}
