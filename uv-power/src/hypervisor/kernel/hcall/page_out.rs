//! `H_SVM_PAGE_OUT`: the ultravisor asks to take a page away (power-pef §4.6).
//!
//! | # | condition | result |
//! |---|---|---|
//! | 1 | `INIT_START` not set | `H_UNSUPPORTED` |
//! | 2 | page shift not 16 | `H_P3` |
//! | 3 | flags not 0 | `H_P2` |
//! | 4 | no normal page | `H_PARAMETER` |
//! | 5 | the page has no device page | `H_SUCCESS`, nothing done |
//! | 6 | the host has no page free, or `UV_PAGE_OUT` refused | `H_PARAMETER`, still resident |
//! | 7 | else a normal page holds the ciphertext | `H_SUCCESS` |

use crate::abi::codes::HvCode;
use crate::abi::numbers::PAGE_ORDER;
use crate::abi::ultracall;
use crate::hypervisor::kernel::{DevicePage, GfnState, KvmError, SecureGuest, Vm};
use uv_core::{Gfn, GuestAddr};

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

/// Moves a resident page out to a normal page. Any other page stays as it is.
///
/// # Errors
/// [`KvmError::Fault`] without a normal page, [`KvmError::NoPage`]; the ultravisor's. The page is still resident then.
pub(in crate::hypervisor::kernel) fn take_out(vm: &Vm, gfn: Gfn) -> Result<(), KvmError> {
    let _guard = vm.uvmem.lock();
    vm.host_page(gfn).ok_or(KvmError::Fault(gfn))?;
    match vm.gfns.get(gfn) {
        GfnState::Uvmem(device) => leave_secure_memory(vm, gfn, device, true),
        _ => Ok(()),
    }
}

/// Frees the device page of a resident page, whose content goes to a normal page or is not asked for ("skip page-out"). The
/// caller holds the paging lock.
///
/// # Errors
/// With content: as [`take_out`]. Without: never.
pub(in crate::hypervisor::kernel) fn leave_secure_memory(
    vm: &Vm,
    gfn: Gfn,
    device: DevicePage,
    content: bool,
) -> Result<(), KvmError> {
    match vm.new_page(gfn) {
        Ok(page) => {
            if content && let Err(error) = ultracall::page_out(&*vm.host.uv, vm.lpid, page, Vm::PAGE_SIZE.addr(gfn), 0)
            {
                vm.drop_page(gfn, page);
                return Err(error.into());
            }
            vm.use_page(gfn, page);
        }
        Err(error) if content => return Err(error),
        // What stands in the page's own place is nobody's.
        Err(_) => {}
    }
    if let Some(pool) = &vm.host.pool {
        pool.give_back(device);
    }
    vm.gfns.set(gfn, vm.gfns.state_when_out(gfn));
    Ok(())
}
