//! RETR_SECRET.

use super::device::UvDevice;
use super::ioctl::Ioctl;
use super::operation::{Next, Operation, Round};
use crate::abi::Errno;
use crate::abi::uvcb::RetrieveSecret;
use alloc::vec;

/// Limits of the buffer: the index that comes in it, and two pages.
const MIN: usize = 2;
const MAX: usize = 8192;

/// The first two bytes of the argument are the index. What the call left in a zeroed buffer is copied out in any case: the
/// secret takes the place of the index, and after a refusal zeros do.
pub(super) fn start(device: &UvDevice, ioctl: Ioctl) -> Result<Operation, Errno> {
    let len = ioctl.length();
    if !(MIN..=MAX).contains(&len) {
        return Err(Errno::EINVAL);
    }
    let given = ioctl.first(MIN)?;
    let index = u16::from_be_bytes([given[0], given[1]]);
    let block = RetrieveSecret::new(index, device.buffers.0, ioctl.control.argument_len.get());
    // What an earlier ioctl left in the buffer must not come out.
    let round = Round::new(Some((device.buffers, &vec![0; len])), &block, [(device.buffers, len)]);
    let mut ioctl = Some(ioctl);
    Ok(Operation::new(round, move |mut outcome| {
        Next::Done(ioctl.take().zip(outcome.loaded.pop()).ok_or(Errno::EFAULT).and_then(|(mut ioctl, secret)| {
            ioctl.argument.get_mut(..len).ok_or(Errno::EFAULT)?.copy_from_slice(&secret);
            ioctl.control.uv_rc = outcome.rc.0.into();
            ioctl.control.uv_rrc = outcome.rrc.0.into();
            Ok(ioctl)
        }))
    }))
}
