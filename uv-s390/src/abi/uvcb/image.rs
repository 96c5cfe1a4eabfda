//! Blocks that bring the image in.

use zerocopy::byteorder::big_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{UvCommand, UvcbHeader};

/// Block of SET_SEC_CONF_PARAMS (0x50 bytes).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SetParams {
    /// Header.
    pub header: UvcbHeader,
    _reserved_08: [u8; 16],
    /// Handle of the configuration.
    pub guest_handle: U64,
    /// SE header: host virtual address (here the same as host absolute).
    pub sec_header_origin: U64,
    /// Length of the SE header in bytes.
    pub sec_header_len: U32,
    _reserved_2c: [u8; 36],
}

block!(SetParams, 0x50, guest_handle at 0x18, sec_header_origin at 0x20, sec_header_len at 0x28);

impl SetParams {
    /// A block that gives the SE header at `origin` to a configuration.
    #[must_use]
    pub fn new(guest_handle: u64, origin: u64, len: u32) -> Self {
        Self {
            header: UvcbHeader::new(UvCommand::SET_SEC_CONF_PARAMS, 0x50),
            guest_handle: guest_handle.into(),
            sec_header_origin: origin.into(),
            sec_header_len: len.into(),
            ..Self::new_zeroed()
        }
    }
}

/// Block of UNPACK_IMG (0x50 bytes): one page.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Unpack {
    /// Header.
    pub header: UvcbHeader,
    _reserved_08: [u8; 16],
    /// Handle of the configuration.
    pub guest_handle: U64,
    /// Guest absolute address of the page, without MSO.
    pub gaddr: U64,
    /// Tweak: the component's prefix, then the byte offset of the page inside the component.
    pub tweak: [U64; 2],
    _reserved_38: [u8; 24],
}

block!(Unpack, 0x50, guest_handle at 0x18, gaddr at 0x20, tweak at 0x28);

impl Unpack {
    /// A block that unpacks the page at `gaddr`.
    #[must_use]
    pub fn new(guest_handle: u64, gaddr: u64, prefix: u64, offset: u64) -> Self {
        Self {
            header: UvcbHeader::new(UvCommand::UNPACK_IMG, 0x50),
            guest_handle: guest_handle.into(),
            gaddr: gaddr.into(),
            tweak: [prefix.into(), offset.into()],
            ..Self::new_zeroed()
        }
    }
}
