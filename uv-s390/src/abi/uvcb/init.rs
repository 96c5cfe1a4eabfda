//! INIT_UV.

use zerocopy::byteorder::big_endian::U64;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{UvCommand, UvcbHeader};

/// Block of INIT_UV (0x48 bytes).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct InitUv {
    /// Header.
    pub header: UvcbHeader,
    _reserved_08: [u8; 16],
    /// Host absolute address of the donated storage; 1 MiB aligned, at or above 2 GiB.
    pub stor_origin: U64,
    /// Its length in bytes, as the query says.
    pub stor_len: U64,
    _reserved_28: [u8; 32],
}

block!(InitUv, 0x48, stor_origin at 0x18, stor_len at 0x20);

impl InitUv {
    /// A block that donates `len` bytes at `origin`.
    #[must_use]
    pub fn new(origin: u64, len: u64) -> Self {
        let header = UvcbHeader::new(UvCommand::INIT_UV, 0x48);
        Self { header, stor_origin: origin.into(), stor_len: len.into(), ..Self::new_zeroed() }
    }
}
