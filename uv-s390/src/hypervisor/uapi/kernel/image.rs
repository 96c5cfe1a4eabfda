//! SET_SEC_PARMS, UNPACK, VERIFY.

use uv_core::GuestAddr;

use super::super::{SecParm, Unp};
use super::codes::{finish, set_codes};
use super::copy::from_user;
use crate::abi::Errno;
use crate::abi::uvc::{UvRc, UvRrc};
use crate::hypervisor::kernel::HostError;
use crate::hypervisor::kernel::Vm;
use crate::hypervisor::uapi::{Argument, PvCmd};

/// Longest SE header that the kernel copies.
const MAX_HEADER: u64 = 1 << 20;

/// EINVAL when not protected, for more than 1 MiB, or when refused; EFAULT; ENOMEM.
pub(super) fn set_sec_parms(guest: &Vm, cmd: &mut PvCmd, argument: &Argument<'_>) -> Result<(), Errno> {
    if !guest.is_protected() {
        return Err(Errno::EINVAL);
    }
    let parm: SecParm = from_user(argument.data)?;
    if parm.length.get() > MAX_HEADER {
        return Err(Errno::EINVAL);
    }
    let length = usize::try_from(parm.length.get()).ok().filter(|length| *length > 0).ok_or(Errno::ENOMEM)?;
    let header = argument.buffer.get(..length).ok_or(Errno::EFAULT)?;
    finish(cmd, guest.set_parameters(header), Errno::EINVAL)
}

/// EINVAL when not protected, for an address or size that is no page multiple or a size of 0, or when refused; EFAULT for
/// guest memory that is not there or cannot be secure. A busy Ultravisor is asked again until a fatal signal comes (EAGAIN).
pub(super) fn unpack(guest: &Vm, cmd: &mut PvCmd, argument: &Argument<'_>) -> Result<(), Errno> {
    if !guest.is_protected() {
        return Err(Errno::EINVAL);
    }
    let unp: Unp = from_user(argument.data)?;
    let result =
        guest.unpack(GuestAddr(unp.addr.get()), unp.size.get(), unp.tweak.get(), &mut || !guest.fatal_signal());
    if matches!(result, Err(HostError::Fault(_) | HostError::Stopped)) {
        // What the last control block holds: nothing was answered.
        set_codes(cmd, UvRc(0), UvRrc(0));
    }
    finish(cmd, result, Errno::EINVAL)
}

/// EINVAL when not protected or refused.
pub(super) fn verify(guest: &Vm, cmd: &mut PvCmd) -> Result<(), Errno> {
    finish(cmd, guest.verify(), Errno::EINVAL)
}
