//! Blocks of the dump calls. DUMP_INIT uses [`NoData`](super::NoData).

use zerocopy::byteorder::big_endian::U64;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{UvCommand, UvcbHeader};

/// Block of DUMP_CPU (0x50 bytes).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct DumpCpu {
    /// Header.
    pub header: UvcbHeader,
    _reserved_08: [u8; 16],
    /// Handle of the CPU.
    pub cpu_handle: U64,
    /// Where the dump goes: host virtual address (here the same as host absolute).
    pub dump_area_origin: U64,
    _reserved_28: [u8; 40],
}

block!(DumpCpu, 0x50, cpu_handle at 0x18, dump_area_origin at 0x20);

impl DumpCpu {
    /// A block that dumps a CPU into the area at `origin`.
    #[must_use]
    pub fn new(cpu_handle: u64, origin: u64) -> Self {
        let header = UvcbHeader::new(UvCommand::DUMP_CPU, 0x50);
        Self { header, cpu_handle: cpu_handle.into(), dump_area_origin: origin.into(), ..Self::new_zeroed() }
    }
}

/// Block of DUMP_CONF_STOR_STATE (0x50 bytes).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct DumpStorageState {
    /// Header.
    pub header: UvcbHeader,
    _reserved_08: [u8; 16],
    /// Handle of the configuration.
    pub config_handle: U64,
    /// Where the tweaks go: host virtual address (here the same as host absolute).
    pub dump_area_origin: U64,
    /// Guest absolute address of the MiB, 1 MiB aligned.
    pub gaddr: U64,
    _reserved_30: [u8; 32],
}

block!(DumpStorageState, 0x50, config_handle at 0x18, dump_area_origin at 0x20, gaddr at 0x28);

impl DumpStorageState {
    /// A block that dumps the tweaks of the MiB at `gaddr` into the area at `origin`.
    #[must_use]
    pub fn new(config_handle: u64, origin: u64, gaddr: u64) -> Self {
        Self {
            header: UvcbHeader::new(UvCommand::DUMP_CONF_STOR_STATE, 0x50),
            config_handle: config_handle.into(),
            dump_area_origin: origin.into(),
            gaddr: gaddr.into(),
            ..Self::new_zeroed()
        }
    }
}

/// Block of DUMP_COMPLETE (0x50 bytes).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct DumpComplete {
    /// Header.
    pub header: UvcbHeader,
    _reserved_08: [u8; 16],
    /// Handle of the configuration.
    pub config_handle: U64,
    /// Where the completion data goes: host virtual address (here the same as host absolute).
    pub dump_area_origin: U64,
    _reserved_28: [u8; 40],
}

block!(DumpComplete, 0x50, config_handle at 0x18, dump_area_origin at 0x20);

impl DumpComplete {
    /// A block that ends a dump; the completion data goes into the area at `origin`.
    #[must_use]
    pub fn new(config_handle: u64, origin: u64) -> Self {
        let header = UvcbHeader::new(UvCommand::DUMP_COMPLETE, 0x50);
        Self { header, config_handle: config_handle.into(), dump_area_origin: origin.into(), ..Self::new_zeroed() }
    }
}
