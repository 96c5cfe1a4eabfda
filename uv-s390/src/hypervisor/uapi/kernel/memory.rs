//! `KVM_SET_USER_MEMORY_REGION`.

use uv_core::{Gfn, HostAddr, MemSlot, SlotError, SlotId};

use super::super::structs::MemoryRegion;
use super::copy::from_user;
use crate::abi::Errno;
use crate::hypervisor::kernel::HostError;
use crate::hypervisor::kernel::Vm;
use crate::hypervisor::uapi::Argument;

/// Slots that user space may number.
pub(super) const SLOTS: u32 = 32767;
const PAGE: u64 = 0x1000;
const MIB: u64 = 1 << 20;

/// Adds, moves or takes out a memory slot of an ordinary VM.
///
/// | # | condition | result |
/// |---|---|---|
/// | 1 | flags (there is no dirty log here), an address or size that is no page multiple, slot number, end of the address space | EINVAL |
/// | 2 | taking out a slot that is not there | EINVAL |
/// | 3 | another size or another memory for a slot that is there | EINVAL |
/// | 4 | nothing would change | 0, also for a protected VM |
/// | 5 | overlap | EEXIST |
/// | 6 | the VM is protected | EINVAL |
/// | 7 | not taken out, and an address or the size is no multiple of 1 MiB, or passes the VM's limit | EINVAL |
/// | 8 | the kernel has no memory for what it keeps of each page | ENOMEM |
///
/// UNSURE: a guest address that is no multiple of 1 MiB is refused; the kernel takes the slot and cannot map it.
pub(super) fn set_region(guest: &Vm, argument: &Argument<'_>) -> Result<u64, Errno> {
    let region: MemoryRegion = from_user(argument.block)?;
    let (at, size) = (region.guest_phys_addr.get(), region.memory_size.get());
    let (memory, number) = (region.userspace_addr.get(), region.slot.get());
    let pages = [at, size, memory].into_iter().all(|value| value % PAGE == 0);
    if region.flags.get() != 0 || !pages || number >= SLOTS || at.checked_add(size).is_none() {
        return Err(Errno::EINVAL);
    }
    let id = SlotId(u16::try_from(number).map_err(|_| Errno::EINVAL)?);
    let slots = guest.slots();
    let old = slots.iter().find_map(|(known, slot)| (known == id).then_some(slot));
    if size == 0 {
        old.ok_or(Errno::EINVAL)?;
        return guest.remove_slot(id).map(|_| 0).map_err(errno);
    }
    let new = MemSlot { first: Gfn(at / PAGE), pages: size / PAGE, host: HostAddr(memory) };
    if let Some(old) = old {
        if (old.pages, old.host) != (new.pages, new.host) {
            return Err(Errno::EINVAL);
        }
        if old == new {
            return Ok(0);
        }
    }
    let meets = |slot: &MemSlot| slot.first.0 < new.first.0 + new.pages && new.first.0 < slot.first.0 + slot.pages;
    if slots.iter().any(|(known, slot)| known != id && meets(&slot)) {
        return Err(Errno::EEXIST);
    }
    let whole = [at, size, memory].into_iter().all(|value| value % MIB == 0);
    if guest.is_protected() || !whole || at + size > guest.limit() {
        return Err(Errno::EINVAL);
    }
    let done = if old.is_some() { guest.move_slot(id, new) } else { guest.add_slot(id, new) };
    done.map(|()| 0).map_err(errno)
}

fn errno(error: HostError) -> Errno {
    match error {
        HostError::Slot(SlotError::Overlap(_) | SlotError::Exists(_)) => Errno::EEXIST,
        HostError::NoStorage(_) => Errno::ENOMEM,
        _ => Errno::EINVAL,
    }
}
