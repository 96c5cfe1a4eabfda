//! The device.

use uv_core::GuestAddr;

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
}
