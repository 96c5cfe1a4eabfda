//! RETR_ATTEST.

use zerocopy::byteorder::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{UvCommand, UvcbHeader};

/// Block of RETR_ATTEST (0x188 bytes). Addresses are guest addresses.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Attest {
    /// Header.
    pub header: UvcbHeader,
    _reserved_08: [u8; 16],
    /// Attestation request.
    pub arcb_addr: U64,
    /// Continuation token; 0 at first.
    pub cont_token: U64,
    _reserved_28: [u8; 6],
    /// Bytes of user data, at most 256.
    pub user_data_len: U16,
    /// User data.
    pub user_data: [u8; 256],
    _reserved_130: [u8; 12],
    /// Bytes of the measurement area.
    pub meas_len: U32,
    /// Measurement area.
    pub meas_addr: U64,
    /// Out: configuration UID.
    pub config_uid: [u8; 16],
    _reserved_158: [u8; 4],
    /// Bytes of the additional-data area.
    pub add_data_len: U32,
    /// Additional-data area.
    pub add_data_addr: U64,
    _reserved_168: [u8; 32],
}

block!(
    Attest, 0x188,
    arcb_addr at 0x18,
    cont_token at 0x20,
    user_data_len at 0x2e,
    user_data at 0x30,
    meas_len at 0x13c,
    meas_addr at 0x140,
    config_uid at 0x148,
    add_data_len at 0x15c,
    add_data_addr at 0x160,
);

impl Attest {
    /// A block with all addresses and lengths 0.
    #[must_use]
    pub fn new() -> Self {
        Self { header: UvcbHeader::new(UvCommand::RETR_ATTEST, 0x188), ..Self::new_zeroed() }
    }
}

impl Default for Attest {
    fn default() -> Self {
        Self::new()
    }
}
