//! `H_SVM_INIT_ABORT`: the VM failed to become secure (power-pef §4.4). The result goes to the guest's R3.
//!
//! | # | condition | result |
//! |---|---|---|
//! | 1 | `INIT_START` not set | `H_UNSUPPORTED` |
//! | 2 | `INIT_DONE` set | `H_STATE` |
//! | 3 | else every device page is dropped after `UV_PAGE_OUT`, the flags are cleared, `UV_SVM_TERMINATE` | `H_PARAMETER` |
//!
//! A page whose `UV_PAGE_OUT` is refused keeps its device page: the guest cannot reach it, and an access of the host ends in
//! `SIGBUS`. The firmware answers `UV_PAGE_OUT` of a failed transition with success and writes nothing: the guest then
//! finds zeros in the pages that had moved.

use super::leave_secure_memory;
use crate::abi::codes::HvCode;
use crate::abi::ultracall::svm_terminate;
use crate::hypervisor::kernel::{GfnState, SecureGuest, Vm};
use uv_core::PageRange;

pub(super) fn init_abort(vm: &Vm) -> HvCode {
    let flags = vm.secure_guest();
    if !flags.contains(SecureGuest::INIT_START) {
        return HvCode::H_UNSUPPORTED;
    }
    if flags.contains(SecureGuest::INIT_DONE) {
        return HvCode::H_STATE;
    }
    for (_, slot) in vm.slots().iter() {
        drop_pages(vm, PageRange::new(slot.first, slot.pages), true);
    }
    vm.set_secure_guest(SecureGuest::empty());
    let _ = svm_terminate(&*vm.host.uv, vm.lpid);
    vm.publish_memory();
    HvCode::H_PARAMETER
}

/// Drops the device pages of a range, with or without asking the ultravisor for their content. All pages are normal then, but
/// those whose content was asked for and refused.
pub(in crate::hypervisor::kernel) fn drop_pages(vm: &Vm, pages: PageRange, with_page_out: bool) {
    let _guard = vm.uvmem.lock();
    for gfn in pages.iter() {
        if let GfnState::Uvmem(device) = vm.gfns.get(gfn) {
            vm.gfns.remove_when_out(gfn);
            if let Err(error) = leave_secure_memory(vm, gfn, device, with_page_out) {
                tracing::warn!(lpid = vm.lpid.0, gfn = gfn.0, %error, "a device page stays in use");
                continue;
            }
        }
        vm.gfns.set(gfn, GfnState::Normal);
    }
}
