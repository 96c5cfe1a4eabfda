//! Blocks of the secret calls. LOCK_SECRETS uses [`NoData`](super::NoData) with handle 0. Addresses are guest addresses.

use zerocopy::byteorder::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{UvCommand, UvcbHeader};

/// Block of ADD_SECRET (0x48 bytes).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct AddSecret {
    /// Header.
    pub header: UvcbHeader,
    _reserved_08: [u8; 24],
    /// Add-secret request.
    pub addr: U64,
    _reserved_28: [u8; 32],
}

block!(AddSecret, 0x48, addr at 0x20);

impl AddSecret {
    /// A block that adds the request at `addr`.
    #[must_use]
    pub fn new(addr: u64) -> Self {
        Self { header: UvcbHeader::new(UvCommand::ADD_SECRET, 0x48), addr: addr.into(), ..Self::new_zeroed() }
    }
}

/// Block of LIST_SECRETS (0x48 bytes).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ListSecrets {
    /// Header.
    pub header: UvcbHeader,
    _reserved_08: [u8; 22],
    /// Index to begin at.
    pub start_idx: U16,
    /// One page for the list.
    pub list_addr: U64,
    _reserved_28: [u8; 32],
}

block!(ListSecrets, 0x48, start_idx at 0x1e, list_addr at 0x20);

impl ListSecrets {
    /// A block that lists secrets from `start_idx` on into the page at `list_addr`.
    #[must_use]
    pub fn new(start_idx: u16, list_addr: u64) -> Self {
        let header = UvcbHeader::new(UvCommand::LIST_SECRETS, 0x48);
        Self { header, start_idx: start_idx.into(), list_addr: list_addr.into(), ..Self::new_zeroed() }
    }
}

/// Block of RETR_SECRET (0x48 bytes).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RetrieveSecret {
    /// Header.
    pub header: UvcbHeader,
    _reserved_08: [u8; 16],
    /// Index of the secret.
    pub secret_idx: U16,
    _reserved_1a: [u8; 2],
    /// Bytes of the buffer.
    pub buf_size: U32,
    /// Buffer for the secret.
    pub buf_addr: U64,
    _reserved_28: [u8; 32],
}

block!(RetrieveSecret, 0x48, secret_idx at 0x18, buf_size at 0x1c, buf_addr at 0x20);

impl RetrieveSecret {
    /// A block that retrieves secret `index` into `size` bytes at `addr`.
    #[must_use]
    pub fn new(index: u16, addr: u64, size: u32) -> Self {
        Self {
            header: UvcbHeader::new(UvCommand::RETR_SECRET, 0x48),
            secret_idx: index.into(),
            buf_size: size.into(),
            buf_addr: addr.into(),
            ..Self::new_zeroed()
        }
    }
}
