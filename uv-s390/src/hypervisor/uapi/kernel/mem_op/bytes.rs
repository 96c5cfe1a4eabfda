//! What the operations share: the checks of all, and accesses page by page.

use uv_core::{GuestAddr, PageSize};

use super::super::super::{MemOp, mem_op_flags as flags};
use crate::abi::Errno;
use crate::abi::uvc::PgmCode;
use crate::hypervisor::kernel::{Access, HostError, Vm};

/// Checks 2 to 4; gives the access key, 0 without the flag.
pub(super) fn validate(op: &MemOp, supported: u64) -> Result<u8, Errno> {
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
pub(super) fn user<'a>(op: &MemOp, data: &'a mut [u8]) -> Result<&'a mut [u8], Errno> {
    let size = usize::try_from(op.size.get()).map_err(|_| Errno::EFAULT)?;
    data.get_mut(..size).ok_or(Errno::EFAULT)
}

/// Calls `act` for each page that `len` bytes at an address touch, with the address and the number of bytes there. An address
/// wraps around at the end of the address space.
pub(super) fn pages<E>(address: u64, len: u64, mut act: impl FnMut(u64, u64) -> Result<(), E>) -> Result<(), E> {
    let (mut at, mut left) = (address, len);
    while left > 0 {
        let here = left.min(PageSize::K4.size() - PageSize::K4.offset(at));
        act(at, here)?;
        (at, left) = (at.wrapping_add(here), left - here);
    }
    Ok(())
}

/// Copies bytes within one page, with a key. What the host cannot reach is protected, as the kernel's copy finds it.
pub(super) fn copy(guest: &Vm, at: GuestAddr, bytes: &mut [u8], access: Access, key: u8) -> Result<(), PgmCode> {
    check_key(guest, at, access, key)?;
    let done: Result<(), HostError> = match access {
        Access::Fetch => guest.host_read(at, bytes),
        Access::Store => guest.host_write(at, bytes),
    };
    done.map_err(|_| PgmCode::PROTECTION)
}

pub(super) fn check_key(guest: &Vm, at: GuestAddr, access: Access, key: u8) -> Result<(), PgmCode> {
    if guest.slots().host_addr(at).is_none() {
        return Err(PgmCode::ADDRESSING);
    }
    let permitted = guest.key_permits(PageSize::K4.gfn(at), key, access == Access::Store);
    if permitted { Ok(()) } else { Err(PgmCode::PROTECTION) }
}

/// A program interruption code as the ioctl's value.
pub(super) fn value(result: Result<(), PgmCode>) -> u64 {
    result.err().map_or(0, |code| code.0.into())
}
