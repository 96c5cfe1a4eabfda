//! Entries of translation tables (z/Architecture Principles of Operation, chapter 3).
//!
//! Who uses it: the hypervisor's kernel, which walks a guest's tables, and the machine, which walks a host's.

/// Region and segment tables, bit 58: the entry is invalid.
pub const INVALID: u64 = 0x20;
/// Region and segment tables, bits 60–61: type of the table that the entry is in.
pub const TYPE: u64 = 0x0c;
/// Region tables, bits 62–63: length of the table below, in units of 512 entries, less one.
pub const LENGTH: u64 = 0x03;
/// Region tables, bits 56–57: the first unit of the table below that is there.
pub const OFFSET: u64 = 0xc0;
/// Segment tables and region third tables, bit 53 (EDAT): the entry maps a frame of its whole size.
pub const FORMAT: u64 = 0x400;
/// All tables, bit 54: no stores.
pub const PROTECT: u64 = 0x200;
/// Segment tables, bit 59: the segment is common to all address spaces.
pub const COMMON: u64 = 0x10;
/// Page tables, bit 53: the entry is invalid.
pub const PAGE_INVALID: u64 = 0x400;
/// Page tables, bit 52: must be zero.
pub const PAGE_ZERO: u64 = 0x800;
/// How far the index of a table is shifted, by table type: segment, region third, second, first.
pub const SHIFTS: [u32; 4] = [20, 31, 42, 53];
