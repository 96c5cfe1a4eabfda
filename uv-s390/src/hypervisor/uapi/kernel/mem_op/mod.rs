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
mod exchange;
mod logical;
mod sida;
mod skeys;

use uv_core::{GuestAddr, PageSize};

use super::super::{MemOp, mem_op, mem_op_flags as flags};
use super::{Argument, Errno, Guest, from_user, to_user};
use crate::abi::uvc::PgmCode;
use crate::hypervisor::kernel::{Access, HostError};

pub(super) use skeys::{get as get_skeys, set as set_skeys};

/// On the VM: absolute storage of an ordinary guest. The kernel cannot reach a protected guest's.
pub(super) fn vm(guest: &Guest, argument: &mut Argument<'_>) -> Result<u64, Errno> {
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
pub(super) fn vcpu(guest: &Guest, cpu: u16, argument: &mut Argument<'_>) -> Result<u64, Errno> {
    let op: MemOp = from_user(argument.block)?;
    match op.op.get() {
        mem_op::LOGICAL_READ => logical::access(guest, cpu, &op, argument.data, Access::Fetch),
        mem_op::LOGICAL_WRITE => logical::access(guest, cpu, &op, argument.data, Access::Store),
        mem_op::SIDA_READ | mem_op::SIDA_WRITE => sida::access(guest, cpu, &op, argument.data),
        _ => Err(Errno::EINVAL),
    }
}

/// Checks 2 to 4; gives the access key, 0 without the flag.
fn validate(op: &MemOp, supported: u64) -> Result<u8, Errno> {
    if op.flags.get() & !supported != 0 || op.size.get() == 0 {
        return Err(Errno::EINVAL);
    }
    if op.size.get() > MemOp::MAX_SIZE {
        return Err(Errno::E2BIG);
    }
    match op.key() {
        _ if op.flags.get() & flags::SKEY_PROTECTION == 0 => Ok(0),
        key @ 0..=15 => Ok(key),
        _ => Err(Errno::EINVAL),
    }
}

/// The bytes in user space.
fn user<'a>(op: &MemOp, data: &'a mut [u8]) -> Result<&'a mut [u8], Errno> {
    let size = usize::try_from(op.size.get()).map_err(|_| Errno::EFAULT)?;
    data.get_mut(..size).ok_or(Errno::EFAULT)
}

/// Calls `act` for each page that `len` bytes at an address touch, with the address and the number of bytes there. An address
/// wraps around at the end of the address space.
fn pages<E>(address: u64, len: u64, mut act: impl FnMut(u64, u64) -> Result<(), E>) -> Result<(), E> {
    let (mut at, mut left) = (address, len);
    while left > 0 {
        let here = left.min(PageSize::K4.size() - PageSize::K4.offset(at));
        act(at, here)?;
        (at, left) = (at.wrapping_add(here), left - here);
    }
    Ok(())
}

/// Copies bytes within one page, with a key. What the host cannot reach is protected, as the kernel's copy finds it.
fn copy(guest: &Guest, at: GuestAddr, bytes: &mut [u8], access: Access, key: u8) -> Result<(), PgmCode> {
    check_key(guest, at, access, key)?;
    let done: Result<(), HostError> = match access {
        Access::Fetch => guest.host_read(at, bytes),
        Access::Store => guest.host_write(at, bytes),
    };
    done.map_err(|_| PgmCode::PROTECTION)
}

fn check_key(guest: &Guest, at: GuestAddr, access: Access, key: u8) -> Result<(), PgmCode> {
    if guest.slots().host_addr(at).is_none() {
        return Err(PgmCode::ADDRESSING);
    }
    let permitted = guest.key_permits(PageSize::K4.gfn(at), key, access == Access::Store);
    if permitted { Ok(()) } else { Err(PgmCode::PROTECTION) }
}

/// A program interruption code as the ioctl's value.
fn value(result: Result<(), PgmCode>) -> u64 {
    result.err().map_or(0, |code| code.0.into())
}
