//! DUMP, on the VM and on a vCPU.

use super::super::{Dmp, dump_sub};
use super::codes::{finish, set_codes};
use super::copy::from_user;
use crate::abi::Errno;
use crate::abi::uvc::{UvRc, UvRrc};
use crate::hypervisor::kernel::Vm;
use crate::hypervisor::uapi::{Argument, PvCmd};
use alloc::vec::Vec;
use uv_core::GuestAddr;

/// One MiB of guest storage.
const MIB: u64 = 1 << 20;
/// Bytes that are copied out at a time.
const PIECE: usize = 1 << 20;

/// Subcommands of the VM. EINVAL when not protected.
pub(super) fn vm(guest: &Vm, cmd: &mut PvCmd, argument: &mut Argument<'_>) -> Result<(), Errno> {
    if !guest.is_protected() {
        return Err(Errno::EINVAL);
    }
    let dmp: Dmp = from_user(argument.data)?;
    match dmp.subcmd.get() {
        dump_sub::INIT => finish(cmd, guest.dump_init(), Errno::EINVAL),
        dump_sub::CONFIG_STOR_STATE => storage_state(guest, cmd, &dmp, argument.buffer),
        dump_sub::COMPLETE => complete(guest, cmd, &dmp, argument.buffer),
        _ => Err(Errno::ENOTTY),
    }
}

/// Tweaks of the MiBs from `gaddr` on, as many as the buffer holds. They are gathered and copied out in pieces of up to
/// 1 MiB: after a refusal the piece at work is lost, and those before it stay copied. The guest address in the structure is
/// not advanced: the kernel got it by value. Once a dump goes on, rc and rrc are those of the last call, 0 before any.
fn storage_state(guest: &Vm, cmd: &mut PvCmd, dmp: &Dmp, buffer: &mut [u8]) -> Result<(), Errno> {
    if !guest.is_dumping() {
        return Err(Errno::EINVAL);
    }
    set_codes(cmd, UvRc(0), UvRrc(0));
    let per_mib = guest.host().info().dump_storage_state_len.get();
    let (at, len) = (dmp.gaddr.get(), dmp.buff_len.get());
    if at % MIB != 0 || len == 0 || per_mib == 0 || len % per_mib != 0 {
        return Err(Errno::EINVAL);
    }
    let (mut gathered, mut copied) = (Vec::new(), 0);
    for index in 0..len / per_mib {
        let address = index.checked_mul(MIB).and_then(|offset| at.checked_add(offset)).ok_or(Errno::EINVAL)?;
        gathered.extend(finish(cmd, guest.dump_storage_state(GuestAddr(address)), Errno::EINVAL)?);
        if gathered.len() >= PIECE || (index + 1) * per_mib == len {
            let end = copied + gathered.len();
            buffer.get_mut(copied..end).ok_or(Errno::EFAULT)?.copy_from_slice(&gathered);
            copied = end;
            gathered.clear();
        }
    }
    Ok(())
}

/// Once the Ultravisor has completed, the dump is over even if the data cannot be copied out.
fn complete(guest: &Vm, cmd: &mut PvCmd, dmp: &Dmp, buffer: &mut [u8]) -> Result<(), Errno> {
    if !guest.is_dumping() || dmp.buff_len.get() < guest.host().info().dump_finalize_len.get() {
        return Err(Errno::EINVAL);
    }
    let data = finish(cmd, guest.dump_complete(), Errno::EINVAL)?;
    buffer.get_mut(..data.len()).ok_or(Errno::EFAULT)?.copy_from_slice(&data);
    Ok(())
}

/// Subcommand of a vCPU. The buffer must have exactly the length of a CPU's dump.
pub(super) fn cpu(guest: &Vm, number: u16, cmd: &mut PvCmd, argument: &mut Argument<'_>) -> Result<(), Errno> {
    if !guest.is_dumping() {
        return Err(Errno::EINVAL);
    }
    let dmp: Dmp = from_user(argument.data)?;
    if dmp.subcmd.get() != dump_sub::CPU || dmp.buff_len.get() != guest.host().info().cpu_stor_len.get() {
        return Err(Errno::EINVAL);
    }
    let data = finish(cmd, guest.dump_cpu(number), Errno::EINVAL)?;
    argument.buffer.get_mut(..data.len()).ok_or(Errno::EFAULT)?.copy_from_slice(&data);
    Ok(())
}
