//! Blocks that make, end and reset configurations.

use bitflags::bitflags;
use zerocopy::byteorder::big_endian::{U16, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{UvCommand, UvcbHeader};

bitflags! {
    /// Flags of CREATE_SEC_CONF. Unknown bits survive.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct ConfFlags: u16 {
        /// Bit 15: the guest may use AP instructions (needs feature bit 4).
        const AP = 0x0001;
        /// Bit 14: the guest may use AP interruptions (needs feature bit 5).
        const AP_INTERRUPTIONS = 0x0002;
        const _ = !0;
    }
}

/// Block of CREATE_SEC_CONF (0x80 bytes).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct CreateConf {
    /// Header.
    pub header: UvcbHeader,
    _reserved_08: [u8; 16],
    /// Out: handle of the configuration.
    pub guest_handle: U64,
    /// Base storage: host absolute address.
    pub conf_base_stor_origin: U64,
    /// Variable storage: host virtual address; its frames need not be neighbours.
    pub conf_virt_stor_origin: U64,
    _reserved_30: [u8; 6],
    /// [`ConfFlags`].
    pub flags: U16,
    /// MSO: where guest storage begins, as seen through the guest ASCE.
    pub guest_stor_origin: U64,
    /// MSL: bytes of guest storage.
    pub guest_stor_len: U64,
    /// System control area (extended format): host absolute address.
    pub guest_sca: U64,
    /// Guest ASCE: private, used by no other configuration.
    pub guest_asce: U64,
    _reserved_58: [u8; 40],
}

block!(
    CreateConf, 0x80,
    guest_handle at 0x18,
    conf_base_stor_origin at 0x20,
    conf_virt_stor_origin at 0x28,
    flags at 0x36,
    guest_stor_origin at 0x38,
    guest_stor_len at 0x40,
    guest_sca at 0x48,
    guest_asce at 0x50,
);

impl CreateConf {
    /// A block with all addresses 0.
    #[must_use]
    pub fn new() -> Self {
        Self { header: UvcbHeader::new(UvCommand::CREATE_SEC_CONF, 0x80), ..Self::new_zeroed() }
    }
}

impl Default for CreateConf {
    fn default() -> Self {
        Self::new()
    }
}

/// Block with a handle and nothing else (0x40 bytes): DESTROY_SEC_CONF, DESTROY_SEC_CPU, VERIFY_IMG, the resets,
/// PREPARE_RESET, SET_UNSHARE_ALL, DUMP_INIT, LOCK_SECRETS (handle 0).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct NoData {
    /// Header.
    pub header: UvcbHeader,
    _reserved_08: [u8; 16],
    /// Handle of a configuration or of a CPU.
    pub handle: U64,
    _reserved_20: [u8; 32],
}

block!(NoData, 0x40, handle at 0x18);

impl NoData {
    /// A block for `command` on `handle`.
    #[must_use]
    pub fn new(command: UvCommand, handle: u64) -> Self {
        Self { header: UvcbHeader::new(command, 0x40), handle: handle.into(), ..Self::new_zeroed() }
    }
}

/// Block of DESTROY_SEC_CONF_FAST (0x48 bytes).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct DestroyFast {
    /// Header.
    pub header: UvcbHeader,
    _reserved_08: [u8; 16],
    /// Handle of the configuration.
    pub guest_handle: U64,
    _reserved_20: [u8; 40],
}

block!(DestroyFast, 0x48, guest_handle at 0x18);

impl DestroyFast {
    /// A block for the configuration `handle`.
    #[must_use]
    pub fn new(handle: u64) -> Self {
        let header = UvcbHeader::new(UvCommand::DESTROY_SEC_CONF_FAST, 0x48);
        Self { header, guest_handle: handle.into(), ..Self::new_zeroed() }
    }
}
