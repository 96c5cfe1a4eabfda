//! ENABLE, DISABLE, ASYNC_CLEANUP_*, PREP_RESET, UNSHARE_ALL.

use super::codes::{finish, set_codes};
use crate::abi::Errno;
use crate::abi::uvc::{UvRc, UvRrc};
use crate::hypervisor::kernel::Cleanup;
use crate::hypervisor::kernel::Vm;
use crate::hypervisor::uapi::PvCmd;

/// What the kernel stores in rrc when there is no answer of the Ultravisor to report.
const NO_ANSWER: UvRrc = UvRrc(42);

/// EINVAL when protected; EINTR with a signal pending; EIO when the Ultravisor refused.
pub(super) fn enable(guest: &Vm, cmd: &mut PvCmd) -> Result<(), Errno> {
    if guest.is_protected() {
        return Err(Errno::EINVAL);
    }
    if guest.fatal_signal() {
        return Err(Errno::EINTR);
    }
    finish(cmd, guest.enable(), Errno::EIO)
}

/// EINVAL when not protected; EIO when the Ultravisor refused, with the codes of the first failure.
pub(super) fn disable(guest: &Vm, cmd: &mut PvCmd) -> Result<(), Errno> {
    finish(cmd, guest.disable(), Errno::EIO)
}

/// On success rc 1 and rrc 42: nothing was asked of the Ultravisor that has an answer worth keeping.
pub(super) fn cleanup_prepare(guest: &Vm, cmd: &mut PvCmd) -> Result<(), Errno> {
    finish(cmd, guest.set_aside(), Errno::EIO)?;
    set_codes(cmd, UvRc::EXECUTED, NO_ANSWER);
    Ok(())
}

/// Runs without the VM's lock. With a fatal signal the rest is queued, and the command pretends success with rrc 42. After a
/// fast destroy there is nothing to ask the Ultravisor, so rc and rrc stay what user space sent.
pub(super) fn cleanup_perform(guest: &Vm, cmd: &mut PvCmd) -> Result<(), Errno> {
    let sent = (UvRc(cmd.rc.get()), UvRrc(cmd.rrc.get()));
    let done = finish(cmd, guest.cleanup(&mut |_| !guest.fatal_signal()), Errno::EIO)?;
    match done {
        Cleanup::Destroyed => {}
        Cleanup::Fast => set_codes(cmd, sent.0, sent.1),
        Cleanup::Queued => set_codes(cmd, UvRc::EXECUTED, NO_ANSWER),
    }
    Ok(())
}

/// EINVAL when not protected or refused.
pub(super) fn prepare_reset(guest: &Vm, cmd: &mut PvCmd) -> Result<(), Errno> {
    finish(cmd, guest.prepare_reset(), Errno::EINVAL)
}

/// EINVAL when not protected or refused.
pub(super) fn unshare_all(guest: &Vm, cmd: &mut PvCmd) -> Result<(), Errno> {
    finish(cmd, guest.unshare_all(), Errno::EINVAL)
}
