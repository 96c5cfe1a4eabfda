//! ADD_SECRET and LOCK_SECRETS.

use super::device::UvDevice;
use super::ioctl::Ioctl;
use super::operation::{Next, Operation, Round};
use crate::abi::Errno;
use crate::abi::uvcb::{AddSecret, NoData, UvCommand};

const MAX_REQUEST: usize = 1 << 20;

/// Copies the request in and issues the call.
pub(super) fn add(device: &UvDevice, ioctl: Ioctl) -> Result<Operation, Errno> {
    let len = ioctl.length();
    if !(1..=MAX_REQUEST).contains(&len) {
        return Err(Errno::EINVAL);
    }
    let block = AddSecret::new(device.buffers.0);
    let round = Round::new(Some((device.buffers, ioctl.first(len)?)), &block, []);
    Ok(codes_only(ioctl, round))
}

/// There must be no argument.
pub(super) fn lock(ioctl: Ioctl) -> Result<Operation, Errno> {
    if ioctl.control.argument_addr.get() != 0 || ioctl.control.argument_len.get() != 0 {
        return Err(Errno::EINVAL);
    }
    let round = Round::new(None, &NoData::new(UvCommand::LOCK_SECRETS, 0), []);
    Ok(codes_only(ioctl, round))
}

fn codes_only(ioctl: Ioctl, round: Round) -> Operation {
    let mut ioctl = Some(ioctl);
    Operation::new(round, move |outcome| {
        let done = ioctl.take().map(|mut ioctl| {
            ioctl.control.uv_rc = outcome.rc.0.into();
            ioctl.control.uv_rrc = outcome.rrc.0.into();
            ioctl
        });
        Next::Done(done.ok_or(Errno::EFAULT))
    })
}
