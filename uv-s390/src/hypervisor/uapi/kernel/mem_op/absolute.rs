//! Absolute storage.

use alloc::vec;

use uv_core::GuestAddr;

use super::bytes::{check_key, copy, pages, user, validate, value};
use crate::abi::Errno;
use crate::abi::uvc::PgmCode;
use crate::hypervisor::kernel::{Access, Vm};
use crate::hypervisor::uapi::{MemOp, mem_op_flags as flags};

/// Reads or writes, page by page: what was written before a page that is not permitted stays. To check only with key 0, the
/// kernel looks at the first byte alone.
pub(super) fn access(guest: &Vm, op: &MemOp, data: &mut [u8], access: Access) -> Result<u64, Errno> {
    let key = validate(op, flags::SKEY_PROTECTION | flags::CHECK_ONLY)?;
    let (at, size) = (op.gaddr.get(), op.size.get());
    if guest.slots().host_addr(GuestAddr(at)).is_none() {
        return Ok(PgmCode::ADDRESSING.0.into());
    }
    if op.flags.get() & flags::CHECK_ONLY != 0 {
        let checked = pages(at, size.into(), |at, _| match key {
            0 => Ok(()),
            key => check_key(guest, GuestAddr(at), access, key),
        });
        return Ok(value(checked));
    }
    let mut bytes = vec![0; usize::try_from(size).map_err(|_| Errno::ENOMEM)?];
    if access == Access::Store {
        bytes.copy_from_slice(user(op, data)?);
    }
    let mut rest = bytes.as_mut_slice();
    let done = pages(at, size.into(), |at, len| {
        let len = usize::try_from(len).unwrap_or(rest.len());
        let (here, behind) = core::mem::take(&mut rest).split_at_mut(len);
        rest = behind;
        copy(guest, GuestAddr(at), here, access, key)
    });
    if done.is_ok() && access == Access::Fetch {
        user(op, data)?.copy_from_slice(&bytes);
    }
    Ok(value(done))
}
