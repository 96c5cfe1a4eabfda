//! `KVM_S390_MEM_OP`, `KVM_S390_GET_SKEYS`, `KVM_S390_SET_SKEYS`.
//!
//! | # | condition | result |
//! |---|---|---|
//! | 1 | VM: protected; an operation that is another target's | EINVAL |
//! | 2 | a flag that the operation does not have, or no bytes | EINVAL |
//! | 3 | more than 65536 bytes | E2BIG |
//! | 4 | an access key above 15 | EINVAL |
//! | 5 | logical: an access register above 15, a protected CPU; exchange: more than 16 bytes | EINVAL |
//! | 6 | to write: the bytes cannot be copied in | EFAULT |
//! | 7 | the first byte is in no slot (not for logical ones) | 5, the addressing exception |
//! | 8 | exchange: a size that is no power of two, or an address that is no multiple of it | EINVAL |
//! | 9 | the access itself | the program interruption code, a positive number |
//! | 10 | to read: the bytes cannot be copied out | EFAULT |
//!
//! For absolute operations 6 comes after 7. The SIDA has checks of its own.

mod absolute;
mod bytes;
mod exchange;
mod logical;
mod sida;
mod skeys;

use super::super::{Argument, MemOp, mem_op};
use super::copy::from_user;
use crate::abi::Errno;
use crate::hypervisor::kernel::{Access, Vm};

pub(super) use skeys::{get as get_skeys, set as set_skeys};

/// On the VM: absolute storage of an ordinary guest. The kernel cannot reach a protected guest's.
pub(super) fn vm(guest: &Vm, argument: &mut Argument<'_>) -> Result<u64, Errno> {
    let op: MemOp = from_user(argument.block)?;
    if guest.is_protected() {
        return Err(Errno::EINVAL);
    }
    match op.op.get() {
        mem_op::ABSOLUTE_READ => absolute::access(guest, &op, argument.data, Access::Fetch),
        mem_op::ABSOLUTE_WRITE => absolute::access(guest, &op, argument.data, Access::Store),
        mem_op::ABSOLUTE_CMPXCHG => exchange::exchange(guest, &op, argument),
        _ => Err(Errno::EINVAL),
    }
}

/// On a vCPU: logical storage of an ordinary one, the SIDA of a protected one.
pub(super) fn vcpu(guest: &Vm, cpu: u16, argument: &mut Argument<'_>) -> Result<u64, Errno> {
    let op: MemOp = from_user(argument.block)?;
    match op.op.get() {
        mem_op::LOGICAL_READ => logical::access(guest, cpu, &op, argument.data, Access::Fetch),
        mem_op::LOGICAL_WRITE => logical::access(guest, cpu, &op, argument.data, Access::Store),
        mem_op::SIDA_READ | mem_op::SIDA_WRITE => sida::access(guest, cpu, &op, argument.data),
        _ => Err(Errno::EINVAL),
    }
}
