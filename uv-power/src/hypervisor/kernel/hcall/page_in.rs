//! `H_SVM_PAGE_IN`: the ultravisor asks for a page (power-pef §4.5).
//!
//! | # | condition | result |
//! |---|---|---|
//! | 1 | `INIT_START` not set | `H_UNSUPPORTED` |
//! | 2 | page shift not 16 | `H_P3` |
//! | 3 | flags other than shared | `H_P2` |
//! | 4 | shared: no normal page | `H_PARAMETER` |
//! | 5 | shared: `UV_PAGE_IN` refused | `H_PARAMETER` |
//! | 6 | shared: else the page is shared; a device page goes without page-out | `H_SUCCESS` |
//! | 7 | not shared: no normal page, or the slot was refused by the ultravisor | `H_PARAMETER` |
//! | 8 | not shared: the page has a device page already | `H_PARAMETER` |
//! | 9 | not shared: the host has pinned the page | `H_PARAMETER` |
//! | 10 | not shared: no device page free, or `UV_PAGE_IN` refused | `H_PARAMETER` |
//! | 11 | not shared: else the page is secure and resident | `H_SUCCESS` |

use super::leave_secure_memory;
use crate::abi::codes::HvCode;
use crate::abi::numbers::{PAGE_ORDER, PageInFlags};
use crate::abi::ultracall;
use crate::hypervisor::kernel::{GfnState, KvmError, SecureGuest, Vm};
use uv_core::{Gfn, GuestAddr};

pub(super) fn page_in(vm: &Vm, gpa: u64, flags: u64, shift: u64) -> HvCode {
    if !vm.secure_guest().contains(SecureGuest::INIT_START) {
        return HvCode::H_UNSUPPORTED;
    }
    if shift != PAGE_ORDER {
        return HvCode::H_P3;
    }
    let Some(flags) = PageInFlags::from_bits(flags) else {
        return HvCode::H_P2;
    };
    let gfn = Vm::PAGE_SIZE.gfn(GuestAddr(gpa));
    let done = if flags.contains(PageInFlags::SHARED) { share(vm, gfn) } else { make_resident(vm, gfn) };
    if done.is_ok() { HvCode::H_SUCCESS } else { HvCode::H_PARAMETER }
}

/// Puts a normal page behind a page that the guest shares, or shares again.
///
/// # Errors
/// [`KvmError::Fault`] without a normal page; the ultravisor's.
fn share(vm: &Vm, gfn: Gfn) -> Result<(), KvmError> {
    let _guard = vm.uvmem.lock();
    if let GfnState::Uvmem(device) = vm.gfns.get(gfn) {
        // The content of the frame stays with the ultravisor.
        leave_secure_memory(vm, gfn, device, false)?;
    }
    let host = vm.host_page(gfn).ok_or(KvmError::Fault(gfn))?;
    ultracall::page_in(&*vm.host.uv, vm.lpid, host, Vm::PAGE_SIZE.addr(gfn), 0)?;
    vm.gfns.set(gfn, GfnState::Shared);
    Ok(())
}

/// Moves a page into secure memory: a new device page and `UV_PAGE_IN`.
///
/// # Errors
/// [`KvmError::Fault`] without a normal page or in a slot that the ultravisor refused, [`KvmError::Page`] when the page is there
/// already, [`KvmError::Pinned`], [`KvmError::PoolEmpty`], the ultravisor's. The page is as before.
fn make_resident(vm: &Vm, gfn: Gfn) -> Result<(), KvmError> {
    let _guard = vm.uvmem.lock();
    move_in(vm, gfn)
}

/// Brings a page in that user space wants there: one that is out or was never in. Whether it is there, or the guest has just
/// shared it, is decided under the lock: a shared page is not the hypervisor's to take back.
///
/// # Errors
/// Those of [`make_resident`].
pub(in crate::hypervisor::kernel) fn bring_in(vm: &Vm, gfn: Gfn) -> Result<(), KvmError> {
    let _guard = vm.uvmem.lock();
    match vm.gfns.get(gfn) {
        GfnState::Uvmem(_) | GfnState::Shared => Ok(()),
        _ => move_in(vm, gfn),
    }
}

/// The move, under the lock.
fn move_in(vm: &Vm, gfn: Gfn) -> Result<(), KvmError> {
    let before = vm.gfns.get(gfn);
    let host = vm.host_page(gfn).ok_or(KvmError::Fault(gfn))?;
    if let GfnState::Uvmem(_) = before {
        return Err(KvmError::Page(gfn, before));
    }
    if !vm.gfns.knows(gfn) {
        return Err(KvmError::Fault(gfn));
    }
    if vm.is_pinned(gfn) {
        return Err(KvmError::Pinned(gfn));
    }
    let pool = vm.host.pool.as_ref().ok_or(KvmError::Unsupported)?;
    let device = pool.take().ok_or(KvmError::PoolEmpty)?;
    vm.gfns.set(gfn, GfnState::Uvmem(device));
    if let Err(error) = ultracall::page_in(&*vm.host.uv, vm.lpid, host, Vm::PAGE_SIZE.addr(gfn), 0) {
        pool.give_back(device);
        vm.gfns.set(gfn, before);
        return Err(error.into());
    }
    vm.release_page(gfn);
    Ok(())
}
