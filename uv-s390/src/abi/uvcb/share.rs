//! The guest's sharing calls.

use zerocopy::byteorder::big_endian::U64;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{UvCommand, UvcbHeader};

/// Block of SET_SHARED_ACCESS and REMOVE_SHARED_ACCESS (0x30 bytes).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Share {
    /// Header.
    pub header: UvcbHeader,
    _reserved_08: [u8; 24],
    /// Guest absolute address of the page, page aligned.
    pub paddr: U64,
    _reserved_28: [u8; 8],
}

block!(Share, 0x30, paddr at 0x20);

impl Share {
    /// A block for `command` on a page.
    #[must_use]
    pub fn new(command: UvCommand, paddr: u64) -> Self {
        Self { header: UvcbHeader::new(command, 0x30), paddr: paddr.into(), ..Self::new_zeroed() }
    }
}
