//! Compare and exchange of absolute storage.

use uv_core::GuestAddr;

use super::bytes::{copy, user, validate};
use crate::abi::Errno;
use crate::abi::uvc::PgmCode;
use crate::hypervisor::kernel::{Access, Vm};
use crate::hypervisor::uapi::{Argument, MemOp, mem_op_flags as flags};

/// Most bytes.
const QUAD: u32 = 16;

/// Stores the new value where the old one is; where it is not, the old value in user space becomes what was found. User space
/// compares to see which it was.
///
/// UNSURE: exchanges are atomic among each other; a vCPU's own store may come in between.
pub(super) fn exchange(guest: &Vm, op: &MemOp, argument: &mut Argument<'_>) -> Result<u64, Errno> {
    let key = validate(op, flags::SKEY_PROTECTION)?;
    if op.size.get() > QUAD {
        return Err(Errno::EINVAL);
    }
    let new = user(op, argument.data)?;
    let old = user(op, argument.buffer)?;
    let at = GuestAddr(op.gaddr.get());
    if guest.slots().host_addr(at).is_none() {
        return Ok(PgmCode::ADDRESSING.0.into());
    }
    if !op.size.get().is_power_of_two() || !at.0.is_multiple_of(op.size.get().into()) {
        return Err(Errno::EINVAL);
    }
    let mut found = [0; 16];
    let found = found.get_mut(..old.len()).ok_or(Errno::EINVAL)?;
    let stored = guest.exchanging(|| {
        // An exchange needs what a store does, also when it does not take place.
        copy(guest, at, found, Access::Fetch, 0)?;
        super::bytes::check_key(guest, at, Access::Store, key)?;
        if *found == *old { copy(guest, at, new, Access::Store, key) } else { Ok(()) }
    });
    if stored.is_ok() {
        old.copy_from_slice(found);
    }
    Ok(super::bytes::value(stored))
}
