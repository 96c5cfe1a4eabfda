//! QUERY_KEYS.

use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{UvCommand, UvcbHeader};

/// Key hashes in the answer.
pub const KEY_HASHES: usize = 15;

/// Block and result of QUERY_KEYS (0x200 bytes).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct QueryKeys {
    /// Header.
    pub header: UvcbHeader,
    _reserved_08: [u8; 24],
    /// SHA-256 hashes of public host keys: 0 host key, 1 backup host key; all zero where there is none.
    pub hashes: [[u8; 32]; KEY_HASHES],
}

block!(QueryKeys, 0x200, hashes at 0x20);

impl QueryKeys {
    /// An empty block.
    #[must_use]
    pub fn new() -> Self {
        Self { header: UvcbHeader::new(UvCommand::QUERY_KEYS, 0x200), ..Self::new_zeroed() }
    }
}

impl Default for QueryKeys {
    fn default() -> Self {
        Self::new()
    }
}
