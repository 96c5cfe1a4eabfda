//! `KVM_ENABLE_CAP`, and `KVM_CREATE_IRQCHIP` that depends on it.
//!
//! | capability | target | effect | refused |
//! |---|---|---|---|
//! | CSS_SUPPORT | vCPU | TPI and TSCH are served, see [`VmOptions::CSS_SUPPORT`] | no |
//! | IRQCHIP | VM | `KVM_CREATE_IRQCHIP` is accepted | no |
//! | USER_SIGP, USER_STSI, USER_INSTR0 | VM | [`VmOptions`] | no |
//! | VECTOR_REGISTERS | VM | the guest's own; their place in `kvm_run` is there without it | EBUSY with vCPUs |
//! | HPAGE_1M | VM | the huge pages that the VM was made with may be mapped | EBUSY with vCPUs; EINVAL without huge pages |
//! | others | | | EINVAL |
//!
//! Flags give EINVAL. Runtime instrumentation, guarded storage, adapter-interruption suppression and CPU topology are not offered:
//! EINVAL, as from a kernel on a machine without them.

use super::super::structs::EnableCap;
use super::super::{Target, capability};
use super::copy::from_user;
use crate::abi::Errno;
use crate::hypervisor::kernel::Vm;
use crate::hypervisor::kernel::VmOptions;
use crate::hypervisor::uapi::Argument;
use zerocopy::byteorder::big_endian::U32;

/// `KVM_ENABLE_CAP`.
pub(super) fn enable(guest: &Vm, target: Target, argument: &Argument<'_>) -> Result<u64, Errno> {
    let block: EnableCap = from_user(argument.block)?;
    if block.flags.get() != 0 {
        return Err(Errno::EINVAL);
    }
    let option = match (target, u64::from(block.cap.get())) {
        (Target::Vcpu(_), capability::CSS_SUPPORT) => VmOptions::CSS_SUPPORT,
        (Target::Vm, capability::IRQCHIP) => VmOptions::IRQCHIP,
        (Target::Vm, capability::USER_SIGP) => VmOptions::USER_SIGP,
        (Target::Vm, capability::USER_STSI) => VmOptions::USER_STSI,
        (Target::Vm, capability::USER_INSTR0) => VmOptions::USER_INSTR0,
        (Target::Vm, capability::VECTOR_REGISTERS | capability::HPAGE_1M) if guest.cpu_count() != 0 => {
            return Err(Errno::EBUSY);
        }
        (Target::Vm, capability::VECTOR_REGISTERS) => return Ok(0),
        (Target::Vm, capability::HPAGE_1M) if guest.has_huge_pages() => return Ok(0),
        _ => return Err(Errno::EINVAL),
    };
    guest.set_options(option);
    Ok(0)
}

/// Most routes of `KVM_SET_GSI_ROUTING`.
pub(super) const IRQ_ROUTES: u32 = 4096;

/// `KVM_SET_GSI_ROUTING`: EINVAL for too many, and for flags. Routes are for KVM_IRQFD, which is refused, so nothing is kept.
pub(super) fn set_routes(argument: &Argument<'_>) -> Result<u64, Errno> {
    let [count, flags]: [U32; 2] = from_user(argument.block)?;
    if count.get() > IRQ_ROUTES || flags.get() != 0 { Err(Errno::EINVAL) } else { Ok(0) }
}

/// `KVM_CREATE_IRQCHIP`.
pub(super) fn create_irqchip(guest: &Vm) -> Result<u64, Errno> {
    if guest.options().contains(VmOptions::IRQCHIP) { Ok(0) } else { Err(Errno::EINVAL) }
}
