//! `H_SVM_INIT_DONE`: the VM is about to be secure (power-pef §4.3).
//!
//! | # | condition | result |
//! |---|---|---|
//! | 1 | `INIT_START` not set | `H_UNSUPPORTED` |
//! | 2 | a page that has not moved yet is pinned by the host, or gets no device page | `H_STATE` |
//! | 3 | else `INIT_DONE` is set | `H_SUCCESS` |
//!
//! The pages moved here are not given to the ultravisor: the guest finds zeros there.

use crate::abi::codes::HvCode;
use crate::hypervisor::kernel::{GfnState, SecureGuest, Vm};
use uv_core::{Gfn, PageRange};

pub(super) fn init_done(vm: &Vm) -> HvCode {
    if !vm.secure_guest().contains(SecureGuest::INIT_START) {
        return HvCode::H_UNSUPPORTED;
    }
    let slots = vm.slots();
    if slots.iter().all(|(_, slot)| move_rest(vm, PageRange::new(slot.first, slot.pages))) {
        vm.set_secure_guest(vm.secure_guest() | SecureGuest::INIT_DONE);
        HvCode::H_SUCCESS
    } else {
        HvCode::H_STATE
    }
}

/// Gives every page of the range that has not moved a device page, without `UV_PAGE_IN`. `false` when one is
/// pinned or the pool is empty.
pub(in crate::hypervisor::kernel) fn move_rest(vm: &Vm, pages: PageRange) -> bool {
    let _guard = vm.uvmem.lock();
    // A slot that the ultravisor refused has no words: its pages stay normal.
    let waits = |gfn: &Gfn| vm.gfns.knows(*gfn) && vm.gfns.get(*gfn) == GfnState::Normal;
    pages.iter().filter(waits).all(|gfn| {
        let pool = vm.host.pool.as_ref().filter(|_| !vm.is_pinned(gfn));
        let Some(device) = pool.and_then(|pool| pool.take()) else { return false };
        vm.gfns.set(gfn, GfnState::Uvmem(device));
        vm.release_page(gfn);
        true
    })
}
