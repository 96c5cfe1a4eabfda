//! `KVM_CHECK_EXTENSION`: numbers, not only yes and no. A capability is told where this kernel does what it stands for; all
//! others are 0, as they are for numbers that nobody knows.

use super::super::{MemOp, capability as cap, mem_op_extension};
use super::memory::SLOTS;
use super::{Vm, capabilities};
use crate::abi::uvcb::UvCommand;
use crate::hypervisor::kernel::Host;

/// vCPUs of an extended SCA.
const ESCA_CPU_SLOTS: u64 = 248;

/// The value of a capability for a VM.
pub(super) fn check(guest: &Vm, number: u64) -> u64 {
    match number {
        cap::PROTECTED_ASYNC_DISABLE if !guest.has_async_destroy() => 0,
        cap::HPAGE_1M => guest.has_huge_pages().into(),
        number => check_system(guest.host(), number),
    }
}

/// The value before there is a VM.
pub(in super::super) fn check_system(host: &Host, number: u64) -> u64 {
    let protected = host.has(UvCommand::INIT_UV);
    let highest = u64::from(host.info().max_guest_cpu_id.get());
    match number {
        cap::USER_MEMORY | cap::MP_STATE | cap::ONE_REG | cap::SYNC_REGS | cap::SYNC_MMU | cap::S390_GMAP => 1,
        cap::DESTROY_MEMORY_REGION_WORKS | cap::JOIN_MEMORY_REGIONS_WORKS | cap::S390_COW => 1,
        cap::VM_ATTRIBUTES | cap::CHECK_EXTENSION_VM | cap::IMMEDIATE_EXIT | cap::VECTOR_REGISTERS => 1,
        cap::VCPU_RESETS | cap::INJECT_IRQ | cap::S390_SKEYS | cap::IRQ_STATE => 1,
        cap::ENABLE_CAP | cap::ENABLE_CAP_VM | cap::CSS_SUPPORT | cap::IRQCHIP => 1,
        cap::USER_SIGP | cap::USER_STSI | cap::USER_INSTR0 => 1,
        cap::DEVICE_CTRL | cap::INTERNAL_ERROR_DATA | cap::IRQFD | cap::IOEVENTFD | cap::IOEVENTFD_ANY_LENGTH => 1,
        cap::IRQ_ROUTING => capabilities::IRQ_ROUTES.into(),
        cap::NR_MEMSLOTS => SLOTS.into(),
        // UNSURE: the host's CPUs are not known here, so as many are advised as a VM may have.
        cap::NR_VCPUS | cap::MAX_VCPUS | cap::MAX_VCPU_ID => ESCA_CPU_SLOTS.min(highest + 1),
        cap::MEM_OP => MemOp::MAX_SIZE.into(),
        cap::MEM_OP_EXTENSION => mem_op_extension::BASE | mem_op_extension::CMPXCHG,
        cap::PROTECTED | cap::PROTECTED_ASYNC_DISABLE => protected.into(),
        cap::PROTECTED_DUMP => (protected && host.can_dump()).into(),
        _ => 0,
    }
}
