//! `H_SVM_INIT_START`: the ultravisor begins to make the VM secure (power-pef §4.2).
//!
//! | # | condition | result |
//! |---|---|---|
//! | 1 | no device pages | `H_UNSUPPORTED` |
//! | 2 | guest not radix | `H_UNSUPPORTED` |
//! | 3 | secure guests not enabled for the VM | `H_AUTHORITY` |
//! | 4 | a memory slot is refused by the ultravisor | `H_PARAMETER`; the slots before it are taken back |
//! | 5 | all slots known | `H_SUCCESS` |
//!
//! The flags become `INIT_START` before check 1, as newer kernels do, and stay so after a failure: the ultravisor then makes
//! `H_SVM_INIT_ABORT`, which needs it to clean up both sides. There is no guard against a second `H_SVM_INIT_START`: it
//! registers again, and `INIT_DONE` is gone until the next `H_SVM_INIT_DONE`.

use alloc::vec::Vec;

use uv_core::{MemSlot, SlotId};

use super::drop_pages;
use crate::abi::codes::HvCode;
use crate::abi::ultracall::{register_mem_slot, unregister_mem_slot};
use crate::hypervisor::kernel::{SecureGuest, Vm};

pub(super) fn init_start(vm: &Vm) -> HvCode {
    vm.set_secure_guest(SecureGuest::INIT_START);
    if vm.host.pool.is_none() || !vm.radix {
        return HvCode::H_UNSUPPORTED;
    }
    if !vm.capability() {
        return HvCode::H_AUTHORITY;
    }
    let slots: Vec<(SlotId, MemSlot)> = vm.slots.read().iter().collect();
    for (done, (id, slot)) in slots.iter().enumerate() {
        if register(vm, *id, *slot).is_err() {
            for (registered, _) in &slots[..done] {
                drop_slot(vm, *registered);
            }
            return HvCode::H_PARAMETER;
        }
    }
    HvCode::H_SUCCESS
}

/// Makes a slot known to the ultravisor and gives it its words.
///
/// # Errors
/// The ultravisor's; the slot has no words then.
pub(in crate::hypervisor::kernel) fn register(vm: &Vm, id: SlotId, slot: MemSlot) -> Result<(), crate::abi::UvError> {
    let size = Vm::PAGE_SIZE;
    let bytes = slot.pages << size.shift();
    register_mem_slot(&*vm.host.uv, vm.lpid, size.addr(slot.first), bytes, 0, id.0)?;
    vm.gfns.add(id, slot.first, slot.pages);
    Ok(())
}

/// Takes a slot back: its device pages without their content, then the slot. The ultravisor's result is ignored, as the kernel does.
pub(in crate::hypervisor::kernel) fn drop_slot(vm: &Vm, id: SlotId) {
    if let Some(pages) = vm.gfns.pages(id) {
        drop_pages(vm, pages, false);
    }
    let _ = unregister_mem_slot(&*vm.host.uv, vm.lpid, id.0);
    vm.gfns.remove(id);
}
