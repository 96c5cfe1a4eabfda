//! TEST_COUNT: the control block of a call that no machine has.

use zerocopy::byteorder::big_endian::U64;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{UvCommand, UvcbHeader};

/// Block of TEST_COUNT (0x28 bytes).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct TestCount {
    /// Header.
    pub(crate) header: UvcbHeader,
    _reserved_08: [u8; 16],
    /// Handle of a configuration.
    pub(crate) guest_handle: U64,
    /// Out: how many of its pages are secure.
    pub(crate) secure: U64,
}

block!(TestCount, 0x28, guest_handle at 0x18, secure at 0x20);

impl TestCount {
    pub(crate) fn new(handle: u64) -> Self {
        let header = UvcbHeader::new(UvCommand::TEST_COUNT, 0x28);
        Self { header, guest_handle: handle.into(), ..Self::new_zeroed() }
    }
}
