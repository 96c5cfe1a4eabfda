//! The device.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use uv_core::GuestAddr;
use zeroize::Zeroizing;

use super::ioctl::{Ioctl, UvioNr, number};
use super::operation::{Operation, Round};
use super::{attest, info, list, retrieve, secrets};
use crate::abi::Errno;
use crate::abi::uvc::Block;
use crate::abi::uvcb::InstalledCalls;

/// `/dev/uv` of a protected guest.
///
/// `buffers` is memory of the guest's kernel, private, that the driver uses for one ioctl at a time: page aligned and
/// [`UvDevice::BUFFER_BYTES`] long.
#[derive(Clone, Copy, Debug)]
pub struct UvDevice {
    pub(super) buffers: GuestAddr,
    pub(super) calls: InstalledCalls,
    pub(super) same_bit_for_retrieve: bool,
}

impl UvDevice {
    /// Memory the driver needs: 1 MiB for a request, 32 KiB each for measurement and additional data.
    pub const BUFFER_BYTES: u64 = (1 << 20) + 2 * 0x8000;

    /// A device over the calls that the query gave the guest.
    #[must_use]
    pub const fn new(buffers: GuestAddr, calls: InstalledCalls) -> Self {
        Self { buffers, calls, same_bit_for_retrieve: false }
    }

    /// As the published driver reports its abilities: RETR_SECRET counts as supported when attestation (call bit 28) is, instead
    /// of call bit 33.
    #[must_use]
    pub const fn as_published(self) -> Self {
        Self { same_bit_for_retrieve: true, ..self }
    }

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

/// A round with one store at most.
pub(super) fn round<T: Block>(
    store: Option<(GuestAddr, &[u8])>,
    block: &T,
    loads: impl IntoIterator<Item = (GuestAddr, usize)>,
) -> Round {
    let stores: VecDeque<_> = store.map(|(at, bytes)| (at, Zeroizing::new(bytes.to_vec()))).into_iter().collect();
    Round { stores, block: Vec::from(block.as_bytes()), loads: loads.into_iter().collect() }
}

/// The first `len` bytes of the argument; copying beyond what is there is a fault.
pub(super) fn argument(ioctl: &Ioctl, len: usize) -> Result<&[u8], Errno> {
    ioctl.argument.get(..len).ok_or(Errno::EFAULT)
}

/// Length of the argument as the control block states it.
pub(super) fn length(ioctl: &Ioctl) -> usize {
    usize::try_from(ioctl.control.argument_len.get()).unwrap_or(usize::MAX)
}
