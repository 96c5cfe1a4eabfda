//! `H_SVM_INIT_ABORT`: the VM failed to become secure (power-pef §4.4). The result goes to the guest's R3.
//!
//! | # | condition | result |
//! |---|---|---|
//! | 1 | `INIT_START` not set | `H_UNSUPPORTED` |
//! | 2 | `INIT_DONE` set | `H_STATE` |
//! | 3 | else every device page is dropped after `UV_PAGE_OUT`, the flags are cleared, `UV_SVM_TERMINATE` | `H_PARAMETER` |

use uv_core::PageRange;

use crate::abi::codes::HvCode;
use crate::abi::ultracall::{page_out, svm_terminate};
use crate::hypervisor::kernel::{GfnState, SecureGuest, Vm};

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
    vm.gfns.clear();
    HvCode::H_PARAMETER
}

/// Drops the device pages of a range, with or without asking the ultravisor for their content. All pages are normal then.
pub(in crate::hypervisor::kernel) fn drop_pages(vm: &Vm, pages: PageRange, with_page_out: bool) {
    let _guard = vm.uvmem.lock();
    for gfn in pages.iter() {
        if let GfnState::Uvmem(device) = vm.gfns.get(gfn) {
            if let Some(host) = vm.host_page(gfn).filter(|_| with_page_out) {
                let _ = page_out(&*vm.host.uv, vm.lpid, host, Vm::PAGE_SIZE.addr(gfn), 0);
            }
            if let Some(pool) = &vm.host.pool {
                pool.give_back(device);
            }
        }
        vm.gfns.set(gfn, GfnState::Normal);
    }
}
