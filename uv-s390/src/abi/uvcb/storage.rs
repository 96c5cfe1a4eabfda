//! Blocks that move pages.

use zerocopy::byteorder::big_endian::U64;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{UvCommand, UvcbHeader};

/// Block with a configuration and a guest address (CTS, 0x28 bytes): CONV_TO_SEC_STOR, UNPIN_PAGE_SHARED,
/// VERIFY_LARGE_FRAME.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ConvertTo {
    /// Header.
    pub header: UvcbHeader,
    _reserved_08: [u8; 16],
    /// Handle of the configuration.
    pub guest_handle: U64,
    /// Address as seen through the guest ASCE: MSO + guest absolute. With MSO 0, guest absolute.
    pub gaddr: U64,
}

block!(ConvertTo, 0x28, guest_handle at 0x18, gaddr at 0x20);

impl ConvertTo {
    /// A block for `command` on a page of a guest.
    #[must_use]
    pub fn new(command: UvCommand, guest_handle: u64, gaddr: u64) -> Self {
        let header = UvcbHeader::new(command, 0x28);
        Self { header, guest_handle: guest_handle.into(), gaddr: gaddr.into(), ..Self::new_zeroed() }
    }
}

/// Block with a host address (CFS, 0x20 bytes): CONV_FROM_SEC_STOR, DESTR_SEC_STOR, PIN_PAGE_SHARED.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ConvertFrom {
    /// Header.
    pub header: UvcbHeader,
    _reserved_08: [u8; 16],
    /// Host absolute address of the frame.
    pub paddr: U64,
}

block!(ConvertFrom, 0x20, paddr at 0x18);

impl ConvertFrom {
    /// A block for `command` on a frame.
    #[must_use]
    pub fn new(command: UvCommand, paddr: u64) -> Self {
        Self { header: UvcbHeader::new(command, 0x20), paddr: paddr.into(), ..Self::new_zeroed() }
    }
}
