//! `H_SVM_PAGE_OUT`: the ultravisor asks to take a page away (power-pef §4.6).
//!
//! | # | condition | result |
//! |---|---|---|
//! | 1 | `INIT_START` not set | `H_UNSUPPORTED` |
//! | 2 | page shift not 16 | `H_P3` |
//! | 3 | flags not 0 | `H_P2` |
//! | 4 | no normal page | `H_PARAMETER` |
//! | 5 | the page has no device page | `H_SUCCESS`, nothing done |
//! | 6 | `UV_PAGE_OUT` refused | `H_PARAMETER` |
//! | 7 | else the normal page holds the ciphertext | `H_SUCCESS` |

use uv_core::{Gfn, GuestAddr};

use crate::abi::codes::HvCode;
use crate::abi::numbers::PAGE_ORDER;
use crate::abi::ultracall;
use crate::hypervisor::kernel::{GfnState, KvmError, SecureGuest, Vm};

pub(super) fn page_out(vm: &Vm, gpa: u64, flags: u64, shift: u64) -> HvCode {
    if !vm.secure_guest().contains(SecureGuest::INIT_START) {
        return HvCode::H_UNSUPPORTED;
    }
    if shift != PAGE_ORDER {
        return HvCode::H_P3;
    }
    if flags != 0 {
        return HvCode::H_P2;
    }
    match take_out(vm, Vm::PAGE_SIZE.gfn(GuestAddr(gpa))) {
        Ok(()) => HvCode::H_SUCCESS,
        Err(_) => HvCode::H_PARAMETER,
    }
}

/// Moves a resident page out to its normal page. Any other page stays as it is.
///
/// # Errors
/// [`KvmError::Fault`] without a normal page; the ultravisor's, and the page is still resident.
pub(in crate::hypervisor::kernel) fn take_out(vm: &Vm, gfn: Gfn) -> Result<(), KvmError> {
    let _guard = vm.uvmem.lock();
    let host = vm.host_page(gfn).ok_or(KvmError::Fault(gfn))?;
    let GfnState::Uvmem(device) = vm.gfns.get(gfn) else {
        return Ok(());
    };
    ultracall::page_out(&*vm.host.uv, vm.lpid, host, Vm::PAGE_SIZE.addr(gfn), 0)?;
    if let Some(pool) = &vm.host.pool {
        pool.give_back(device);
    }
    vm.gfns.set(gfn, GfnState::PagedOut);
    Ok(())
}
