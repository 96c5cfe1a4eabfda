//! `UV_REGISTER_MEM_SLOT` (R4 lpid, R5 start, R6 size, R7 flags, R8 slot; power-pef §3.8).
//!
//! | # | check | documented | firmware |
//! |---|---|---|---|
//! | 0 | lpid has no object | `U_PARAMETER` | `U_PARAMETER` (the published code crashes) |
//! | 1 | start not a page address | `U_P2` | `U_PARAMETER` |
//! | 2 | start + size wraps, or lies beyond what a page table reaches | `U_P3` | `U_PARAMETER` |
//! | 3 | slot number ≥ 512 | `U_P5` | `U_PARAMETER` |
//! | 4 | overlaps a slot with another number | `U_P2` | `U_PARAMETER` |
//! | 5 | flags ≠ 0 | `U_P4` | ignored |
//! | 6 | size 0 | `U_P3` | takes the slot away |
//! | 7 | no secure memory to back the slot | does not reserve | `U_PARAMETER` |
//! | 8 | a guest access to a shared page of the slot that it replaces does not end | `U_BUSY`, the old slot stays | `U_RETRY` |
//!
//! Size is rounded up to a page. Only the low 16 bits of R8 count. A slot registered again under its number is replaced and
//! its pages are given up (the published code leaks them).

use core::sync::atomic::Ordering;

use uv_core::{Gfn, PageRange};

use super::super::inner::Inner;
use super::super::svm::Slots;
use super::checks::{busy, slot_number};
use super::unregister_mem_slot::give_up;
use crate::abi::codes::UvCode;
use crate::abi::numbers::{MEM_SLOTS, PAGE_BYTES, PAGE_ORDER};
use crate::abi::regs::Regs;

pub(super) fn register(machine: &Inner, regs: &Regs) -> UvCode {
    let platform = &machine.platform;
    let code = |code| if platform.firmware() { UvCode::U_PARAMETER } else { code };
    let (start, size, flags) = (regs.gpr[5], regs.gpr[6], regs.gpr[7]);
    let id = slot_number(regs.gpr[8]);
    let Some(svm) = machine.svm(regs.gpr[4]) else { return UvCode::U_PARAMETER };
    if !start.is_multiple_of(PAGE_BYTES) {
        return code(UvCode::U_P2);
    }
    let range = PageRange::new(Gfn(start >> PAGE_ORDER), size.div_ceil(PAGE_BYTES));
    // A sum that wraps is past the table too.
    if range.first.0 + range.count > svm.space.pages() {
        return code(UvCode::U_P3);
    }
    if id >= MEM_SLOTS {
        return code(UvCode::U_P5);
    }
    let _change = svm.slot_change.lock();
    if svm.slots.read().overlapping(id, range).is_some() {
        return code(UvCode::U_P2);
    }
    if !platform.firmware() {
        if flags != 0 {
            return UvCode::U_P4;
        }
        if range.count == 0 {
            return UvCode::U_P3;
        }
    }
    let units = Slots::units(range);
    if !platform.reserve(units) {
        return UvCode::U_PARAMETER;
    }
    svm.reserved.fetch_add(units, Ordering::Relaxed);
    let old = svm.slots.write().remove(id);
    if let Some(old) = old
        && !give_up(&svm, old)
    {
        svm.slots.write().insert(id, old);
        svm.reserved.fetch_sub(units, Ordering::Relaxed);
        platform.release(units);
        return busy(platform);
    }
    svm.slots.write().insert(id, range);
    tracing::debug!(lpid = svm.lpid.0, id, first = range.first.0, pages = range.count, "memory slot registered");
    UvCode::U_SUCCESS
}
