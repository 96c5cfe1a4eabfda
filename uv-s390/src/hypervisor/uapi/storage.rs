//! `KVM_S390_MEM_OP`: reading and writing guest storage and the SIDA; `KVM_S390_GET_SKEYS` and `KVM_S390_SET_SKEYS`: storage
//! keys (s390-ultravisor §7.4; Linux's public headers).

use core::mem::{offset_of, size_of};

use zerocopy::byteorder::big_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Argument of `KVM_S390_MEM_OP`.
///
/// | operation | [`Argument::data`](super::Argument::data) | [`Argument::buffer`](super::Argument::buffer) |
/// |---|---|---|
/// | read | the bytes, out | |
/// | write | the bytes | |
/// | compare and exchange | the new value | the old value, in and out |
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct MemOp {
    /// Guest address.
    pub gaddr: U64,
    /// [`mem_op_flags`].
    pub flags: U64,
    /// Bytes.
    pub size: U32,
    /// [`mem_op`].
    pub op: U32,
    /// Address of the buffer in user space.
    pub buf: U64,
    /// Offset in the SIDA, for the SIDA operations; for all others access register (byte 0) and access key (byte 1).
    pub sida_offset: U32,
    /// Zero.
    pub pad: [u8; 4],
    /// Address of the old value in user space, for the exchange.
    pub old_addr: U64,
    /// Zero.
    pub reserved: [u8; 16],
}
layout!(
    MemOp, 64, gaddr at 0, flags at 8, size at 16, op at 20, buf at 24, sida_offset at 32, pad at 36, old_addr at 40,
    reserved at 48,
);

impl MemOp {
    /// Most bytes of an operation on guest storage.
    pub const MAX_SIZE: u32 = 65536;

    /// An operation ([`mem_op`]) on `size` bytes at a guest address, without flags.
    #[must_use]
    pub fn new(op: u32, gaddr: u64, size: u32) -> Self {
        Self { gaddr: gaddr.into(), size: size.into(), op: op.into(), ..Self::new_zeroed() }
    }

    /// An operation on the SIDA.
    #[must_use]
    pub fn sida(op: u32, offset: u32, size: u32) -> Self {
        Self { sida_offset: offset.into(), ..Self::new(op, 0, size) }
    }

    /// The same with these [`mem_op_flags`].
    #[must_use]
    pub fn with_flags(self, flags: u64) -> Self {
        Self { flags: flags.into(), ..self }
    }

    /// The same through an access register (in access-register mode), with an access key (with
    /// [`SKEY_PROTECTION`](mem_op_flags::SKEY_PROTECTION)).
    #[must_use]
    pub fn with_access(self, ar: u8, key: u8) -> Self {
        Self { sida_offset: U32::from_bytes([ar, key, 0, 0]), ..self }
    }

    /// Number of the access register.
    #[must_use]
    pub const fn ar(&self) -> u8 {
        let [ar, ..] = self.sida_offset.to_bytes();
        ar
    }

    /// The access key.
    #[must_use]
    pub const fn key(&self) -> u8 {
        let [_, key, ..] = self.sida_offset.to_bytes();
        key
    }
}

/// Operations of [`MemOp`].
pub mod mem_op {
    /// Reads guest logical storage.
    pub const LOGICAL_READ: u32 = 0;
    /// Writes guest logical storage.
    pub const LOGICAL_WRITE: u32 = 1;
    /// Reads the SIDA.
    pub const SIDA_READ: u32 = 2;
    /// Writes the SIDA.
    pub const SIDA_WRITE: u32 = 3;
    /// Reads guest absolute storage.
    pub const ABSOLUTE_READ: u32 = 4;
    /// Writes guest absolute storage.
    pub const ABSOLUTE_WRITE: u32 = 5;
    /// Compares and exchanges guest absolute storage.
    pub const ABSOLUTE_CMPXCHG: u32 = 6;
}

/// Flags of [`MemOp`].
pub mod mem_op_flags {
    /// Only tells whether the access is possible; there is no buffer.
    pub const CHECK_ONLY: u64 = 1;
    /// What the access met is injected as a program interruption (logical only).
    pub const INJECT_EXCEPTION: u64 = 2;
    /// With the access key.
    pub const SKEY_PROTECTION: u64 = 4;
}

/// What [`capability::MEM_OP_EXTENSION`](super::capability::MEM_OP_EXTENSION) says, as bits.
pub mod mem_op_extension {
    /// Absolute operations and access keys.
    pub const BASE: u64 = 1;
    /// Compare and exchange.
    pub const CMPXCHG: u64 = 2;
}

/// Argument of `KVM_S390_GET_SKEYS` and `KVM_S390_SET_SKEYS`: 64 bytes. The keys, a byte each, lie at the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SKeys {
    /// First page.
    pub start_gfn: U64,
    /// Number of pages, 1 to [`SKeys::MAX`].
    pub count: U64,
    /// Address of the keys in user space.
    pub skeydata_addr: U64,
    /// Zero.
    pub flags: U32,
    /// Zero.
    pub reserved: [U32; 9],
}
layout!(SKeys, 64, start_gfn at 0, count at 8, skeydata_addr at 16, flags at 24, reserved at 28);

impl SKeys {
    /// Most pages of one call.
    pub const MAX: u64 = 1 << 20;
    /// What `KVM_S390_GET_SKEYS` returns for a VM that uses no storage keys.
    pub const NONE: u64 = 1;

    /// The keys of `count` pages.
    #[must_use]
    pub fn new(start_gfn: u64, count: u64) -> Self {
        Self { start_gfn: start_gfn.into(), count: count.into(), ..Self::new_zeroed() }
    }
}
