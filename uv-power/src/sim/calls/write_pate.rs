//! `UV_WRITE_PATE` (R4 lpid, R5 dw0, R6 dw1; power-pef §3.3, §10.1).
//!
//! | # | check, state | effect | documented | firmware |
//! |---|---|---|---|---|
//! | 1 | lpid > 4095 | none | `U_PARAMETER` | `U_PARAMETER` (the published code has no check; a careful model has) |
//! | 2 | dw0 has bits outside of its fields | none | `U_P2` | not checked |
//! | 3 | dw1 has bits outside of its fields | none | `U_P3` | not checked |
//! | 4 | the partition has an object, secure | dw1 written (firmware only) | `U_PERMISSION` | `U_SUCCESS` |
//! | 5 | the partition has an object, not secure | dw1 written, flush | `U_SUCCESS` | `U_SUCCESS` |
//! | 6 | else | both written, flush | `U_SUCCESS` | `U_SUCCESS` |
//!
//! An entry of (0, 0) is the end of a partition: its guest reaches no memory until another entry is written.
//!
//! The document does not say what happens between the making of the object and the commit: as the firmware.

use core::sync::atomic::Ordering;

use super::super::inner::Inner;
use super::super::svm::SvmState;
use crate::abi::codes::UvCode;
use crate::abi::msr::Msr;
use crate::abi::regs::{Lpid, Regs};

/// Entries of the partition table.
const ENTRIES: u32 = 4096;
/// Fields of dw0: radix bit, tree size, root address, root size. A hash table's entry uses the address and size fields too.
const DW0: u64 = 1 << 63 | 3 << 61 | 0x0fff_ffff_ffff_ff00 | 7 << 5 | 0x1f;
/// Fields of dw1: radix bit, process table address, its size.
const DW1: u64 = 1 << 63 | 0x0fff_ffff_ffff_f000 | 0x1f;

pub(super) fn write_pate(machine: &Inner, regs: &Regs) -> UvCode {
    let platform = &machine.platform;
    let (dw0, dw1) = (regs.gpr[5], regs.gpr[6]);
    let Some(lpid) = Lpid::from_register(regs.gpr[4]).filter(|lpid| lpid.0 < ENTRIES) else {
        return UvCode::U_PARAMETER;
    };
    if !platform.firmware() {
        if dw0 & !DW0 != 0 {
            return UvCode::U_P2;
        }
        if dw1 & !DW1 != 0 {
            return UvCode::U_P3;
        }
    }
    match machine.svm(lpid.0.into()).map(|svm| svm.state()) {
        Some(SvmState::Secure) if !platform.firmware() => return UvCode::U_PERMISSION,
        Some(_) => {
            let (kept, _) = platform.entry(lpid);
            platform.write_entry(lpid, kept, dw1);
        }
        None => {
            platform.write_entry(lpid, dw0, dw1);
            platform.hv_little_endian.store(regs.msr().contains(Msr::LE), Ordering::Relaxed);
        }
    }
    UvCode::U_SUCCESS
}
