//! The seam through which a hypervisor enters a guest that is not secure.
//!
//! Who uses it: the host's kernel makes the entry; a machine, real or simulated, implements it.

use crate::abi::regs::{Lpid, Regs};
use uv_core::MemSlots;

/// Entering guests.
///
/// A guest of a VM that is *not* secure is entered by HRFID: [`GuestEntry::enter`]. One of a VM that is secure, or on its way to be,
/// is entered by the ultracall `UV_RETURN` through [`Ultracall::ultracall`](crate::abi::Ultracall::ultracall). KVM tells them apart by
/// its own flags for the VM ([`Vm::secure_guest`](crate::hypervisor::kernel::Vm::secure_guest) is not 0), not by S of the interrupt. Both come back when the
/// hypervisor is next entered: `regs.nip` is the interrupt vector and the other registers are as the interrupt left them.
///
/// | vector | why | registers that matter |
/// |---|---|---|
/// | 0x100 | the guest's program has ended | `srr0`, `srr1` |
/// | 0x980 | hypervisor decrementer | `hsrr0`, `hsrr1` |
/// | 0xc00 | hypercall (`sc 1`) | `gpr[3]` number, `gpr[4..]` arguments, `srr0` next instruction, `srr1` with level 1 |
/// | 0xe00 | data access without mapping | `hdar`, `hdsisr`, `asdr` |
/// | 0xe20 | instruction fetch without mapping | `hdar`, `asdr` |
///
/// On hardware a guest runs until an interrupt; a scripted guest whose program has ended is reported by a system reset
/// (0x100), so that a hypervisor's loop can end.
pub trait GuestEntry: Send + Sync {
    /// HRFID: continues virtual CPU `regs.vcpu` of partition `regs.lpidr` at `regs.hsrr0` with machine state
    /// `regs.hsrr1` and the general registers as loaded. S in HSRR1 cannot be set that way and is dropped.
    ///
    /// A hypercall's result goes to the guest as on hardware: the hypervisor loads it into R3 … before it enters.
    fn enter(&self, regs: &mut Regs);

    /// Puts memory behind the guest physical addresses of a partition that is not secure. Stands for the
    /// partition-scoped page table that the hypervisor keeps for the partition: stretches of pages, whose numbers are no memory
    /// slots' and may change from call to call; `None` takes all of it away. A guest
    /// access outside is a hypervisor data storage interrupt (0xe00).
    fn set_partition_memory(&self, lpid: Lpid, slots: Option<&MemSlots>);
}

impl<T: GuestEntry + ?Sized> GuestEntry for alloc::sync::Arc<T> {
    fn enter(&self, regs: &mut Regs) {
        (**self).enter(regs);
    }

    fn set_partition_memory(&self, lpid: Lpid, slots: Option<&MemSlots>) {
        (**self).set_partition_memory(lpid, slots);
    }
}
