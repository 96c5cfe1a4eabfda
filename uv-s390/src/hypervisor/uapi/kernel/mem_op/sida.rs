//! The SIDA.
//!
//! | # | condition | result |
//! |---|---|---|
//! | 1 | flags, or no bytes | EINVAL |
//! | 2 | offset and size exceed 32 bits | EINVAL |
//! | 3 | the end is past the SIDA that the state description designates, whatever that is for an ordinary CPU | E2BIG |
//! | 4 | the CPU is not protected | EINVAL |
//! | 5 | the bytes cannot be copied | EFAULT |

use super::bytes::user;
use crate::abi::Errno;
use crate::hypervisor::kernel::Vm;
use crate::hypervisor::uapi::{MemOp, mem_op};

pub(super) fn access(guest: &Vm, cpu: u16, op: &MemOp, data: &mut [u8]) -> Result<u64, Errno> {
    let (size, offset) = (op.size.get(), op.sida_offset.get());
    if op.flags.get() != 0 || size == 0 {
        return Err(Errno::EINVAL);
    }
    let end = size.checked_add(offset).ok_or(Errno::EINVAL)?;
    if u64::from(end) > guest.sida_size(cpu).map_err(|_| Errno::EINVAL)? {
        return Err(Errno::E2BIG);
    }
    if !guest.is_cpu_protected(cpu) {
        return Err(Errno::EINVAL);
    }
    let bytes = user(op, data)?;
    let done = if op.op.get() == mem_op::SIDA_READ {
        guest.sida_read(cpu, offset.into(), bytes)
    } else {
        guest.sida_write(cpu, offset.into(), bytes)
    };
    done.map(|()| 0).map_err(|_| Errno::EFAULT)
}
