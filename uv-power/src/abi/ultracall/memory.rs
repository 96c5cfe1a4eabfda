//! Calls about whole VMs: memory slots, partition table, end (power-pef §3.3, 3.8, 3.9, 3.13).

use uv_core::GuestAddr;

use super::{Ultracall, UvError, checked};
use crate::abi::numbers::UltracallNumber;
use crate::abi::regs::Lpid;

/// `UV_REGISTER_MEM_SLOT`: makes `size` bytes of guest memory from `start` on known as slot `id`.
///
/// # Errors
/// [`UvError`]: the code names the bad argument (the firmware: always `U_PARAMETER`).
pub fn register_mem_slot(
    uv: &dyn Ultracall,
    lpid: Lpid,
    start: GuestAddr,
    size: u64,
    flags: u64,
    id: u16,
) -> Result<(), UvError> {
    checked(uv, UltracallNumber::UV_REGISTER_MEM_SLOT, &[lpid.0.into(), start.0, size, flags, id.into()]).map(drop)
}

/// `UV_UNREGISTER_MEM_SLOT`: takes a slot away with all its pages.
///
/// # Errors
/// [`UvError`]: `U_PARAMETER` unknown VM, `U_P2` unknown slot (the firmware: never).
pub fn unregister_mem_slot(uv: &dyn Ultracall, lpid: Lpid, id: u16) -> Result<(), UvError> {
    checked(uv, UltracallNumber::UV_UNREGISTER_MEM_SLOT, &[lpid.0.into(), id.into()]).map(drop)
}

/// `UV_SVM_TERMINATE`: ends the secure VM, or the failed transition. Everything secure of it is gone afterwards.
///
/// # Errors
/// [`UvError`]: `U_PARAMETER` for an unknown VM (the firmware: never).
pub fn svm_terminate(uv: &dyn Ultracall, lpid: Lpid) -> Result<(), UvError> {
    checked(uv, UltracallNumber::UV_SVM_TERMINATE, &[lpid.0.into()]).map(drop)
}

/// `UV_WRITE_PATE`: writes the partition table entry of `lpid`; see power-pef §10.1 for the two doublewords.
///
/// # Errors
/// [`UvError`]: `U_PARAMETER` for a number past the table; `U_PERMISSION` for a secure VM (the firmware writes the second
/// doubleword only and reports success).
pub fn write_pate(uv: &dyn Ultracall, lpid: Lpid, dw0: u64, dw1: u64) -> Result<(), UvError> {
    checked(uv, UltracallNumber::UV_WRITE_PATE, &[lpid.0.into(), dw0, dw1]).map(drop)
}
