//! The Ultravisor's codes in the block of a PV command, and the error number beside them.

use super::super::PvCmd;
use crate::abi::Errno;
use crate::abi::uvc::{UvRc, UvRrc};
use crate::hypervisor::kernel::HostError;

/// Puts the Ultravisor's codes into the block and turns a failure into an error number: a refusal into `refused`.
/// Without a call, the codes stay what user space sent.
pub(super) fn finish<T>(cmd: &mut PvCmd, result: Result<T, HostError>, refused: Errno) -> Result<T, Errno> {
    match &result {
        Ok(_) => set_codes(cmd, UvRc::EXECUTED, UvRrc(0)),
        Err(HostError::Call(call)) => {
            if let Some(refusal) = call.refused() {
                set_codes(cmd, refusal.rc, refusal.rrc);
            }
        }
        Err(_) => {}
    }
    result.map_err(|error| match error {
        HostError::Call(_) => refused,
        HostError::NoStorage(_) => Errno::ENOMEM,
        HostError::Fault(_) | HostError::Access(_) => Errno::EFAULT,
        HostError::Stopped => Errno::EAGAIN,
        _ => Errno::EINVAL,
    })
}

pub(super) fn set_codes(cmd: &mut PvCmd, rc: UvRc, rrc: UvRrc) {
    cmd.rc = rc.0.into();
    cmd.rrc = rrc.0.into();
}
