//! Logical storage of an ordinary CPU.

use alloc::vec;
use alloc::vec::Vec;

use super::bytes::{copy, pages, user, validate};
use crate::abi::Errno;
use crate::abi::uvc::PgmCode;
use crate::abi::uvc::Teid;
use crate::hypervisor::kernel::{Access, Vm};
use crate::hypervisor::kernel::{Irq, Logical, ProgramIrq, Translation};
use crate::hypervisor::uapi::{MemOp, mem_op_flags as flags};

/// Reads or writes. All pages are translated and their keys checked before the first is touched. With
/// [`INJECT_EXCEPTION`](flags::INJECT_EXCEPTION) the program interruption is pending for the CPU as well.
pub(super) fn access(guest: &Vm, cpu: u16, op: &MemOp, data: &mut [u8], access: Access) -> Result<u64, Errno> {
    let key = validate(op, flags::INJECT_EXCEPTION | flags::CHECK_ONLY | flags::SKEY_PROTECTION)?;
    if op.ar() > 15 || guest.is_cpu_protected(cpu) {
        return Err(Errno::EINVAL);
    }
    let check_only = op.flags.get() & flags::CHECK_ONLY != 0;
    let mut bytes = vec![0; if check_only { 0 } else { usize::try_from(op.size.get()).map_err(|_| Errno::ENOMEM)? }];
    if access == Access::Store && !check_only {
        bytes.copy_from_slice(user(op, data)?);
    }
    let space = Logical::new(guest, cpu, op.ar(), access).map_err(|_| Errno::EINVAL)?;
    let done = space.map_err(|code| Translation::Program(code, Teid(0))).and_then(|space| {
        let mut pieces = Vec::new();
        pages(space.effective(op.gaddr.get()), op.size.get().into(), |at, len| {
            pieces.push((space.locate(space.effective(at), len, key)?, len));
            Ok(())
        })?;
        let mut rest = bytes.as_mut_slice();
        for (at, len) in pieces {
            let len = usize::try_from(len).unwrap_or(0).min(rest.len());
            let (here, behind) = rest.split_at_mut(len);
            rest = behind;
            copy(guest, at, here, access, 0).map_err(|code| Translation::Program(code, Teid(0)))?;
        }
        Ok(())
    });
    match done {
        Ok(()) if access == Access::Fetch && !check_only => {
            user(op, data)?.copy_from_slice(&bytes);
            Ok(0)
        }
        Ok(()) => Ok(0),
        Err(Translation::Host) => Err(Errno::EFAULT),
        Err(Translation::Program(code, teid)) => {
            if op.flags.get() & flags::INJECT_EXCEPTION != 0 {
                inject(guest, cpu, code, teid, op.ar())?;
            }
            Ok(code.0.into())
        }
    }
}

/// The exception access identification is the access register, for all but addressing and translation specification.
fn inject(guest: &Vm, cpu: u16, code: PgmCode, teid: Teid, ar: u8) -> Result<(), Errno> {
    let exception_access = if teid == Teid(0) { 0 } else { ar };
    let irq = ProgramIrq { code: code.0, translation: teid.0, exception_access, ..ProgramIrq::default() };
    guest.inject(Some(cpu), Irq::Program(irq)).map_err(|_| Errno::EINVAL)
}
