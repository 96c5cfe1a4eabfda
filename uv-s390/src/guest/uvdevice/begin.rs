//! From an ioctl to the operation that carries it out.

use super::device::UvDevice;
use super::ioctl::{Ioctl, UvioNr, number};
use super::operation::Operation;
use super::{attest, info, list, retrieve, secrets};
use crate::abi::Errno;

impl UvDevice {
    /// Begins an ioctl. Arguments are checked here, in the driver's order: request number ([`Errno::ENOTTY`]), flags and
    /// reserved bytes ([`Errno::EINVAL`]), then what the ioctl asks of its argument.
    #[must_use]
    pub fn ioctl(&self, ioctl: Ioctl) -> Operation {
        let Some(nr) = number(ioctl.request) else { return Operation::done(Err(Errno::ENOTTY)) };
        if ioctl.control.flags.get() != 0 || ioctl.control.reserved14.iter().any(|byte| *byte != 0) {
            return Operation::done(Err(Errno::EINVAL));
        }
        let started = match nr {
            UvioNr::INFO => info::start(self, ioctl),
            UvioNr::ATTEST => attest::start(self, ioctl),
            UvioNr::ADD_SECRET => secrets::add(self, ioctl),
            UvioNr::LIST_SECRETS => list::start(self, ioctl),
            UvioNr::LOCK_SECRETS => secrets::lock(ioctl),
            UvioNr::RETR_SECRET => retrieve::start(self, ioctl),
            _ => Err(Errno::ENOTTY),
        };
        started.unwrap_or_else(|errno| Operation::done(Err(errno)))
    }
}
