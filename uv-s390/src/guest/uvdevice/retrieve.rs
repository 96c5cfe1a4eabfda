//! RETR_SECRET.

use alloc::vec;

use super::device::{UvDevice, argument, length, round};
use super::ioctl::Ioctl;
use super::operation::{Next, Operation};
use crate::abi::Errno;
use crate::abi::uvc::UvRc;
use crate::abi::uvcb::RetrieveSecret;

/// Limits of the buffer: the index that comes in it, and two pages.
const MIN: usize = 2;
const MAX: usize = 8192;

/// The first two bytes of the argument are the index; the secret takes its place if the call is done.
pub(super) fn start(device: &UvDevice, ioctl: Ioctl) -> Result<Operation, Errno> {
    let len = length(&ioctl);
    if !(MIN..=MAX).contains(&len) {
        return Err(Errno::EINVAL);
    }
    let given = argument(&ioctl, len)?;
    let index = u16::from_be_bytes([given[0], given[1]]);
    let block = RetrieveSecret::new(index, device.buffers.0, ioctl.control.argument_len.get());
    // What an earlier ioctl left in the buffer must not come out.
    let round = round(Some((device.buffers, &vec![0; len])), &block, [(device.buffers, len)]);
    let mut ioctl = Some(ioctl);
    Ok(Operation::new(round, move |mut outcome| {
        let done = ioctl.take().map(|mut ioctl| {
            if let (UvRc::EXECUTED, Some(secret)) = (outcome.rc, outcome.loaded.pop()) {
                ioctl.argument[..len].copy_from_slice(&secret);
            }
            ioctl.control.uv_rc = outcome.rc.0.into();
            ioctl.control.uv_rrc = outcome.rrc.0.into();
            ioctl
        });
        Next::Done(done.ok_or(Errno::EFAULT))
    }))
}
