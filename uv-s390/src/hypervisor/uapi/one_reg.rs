//! `KVM_GET_ONE_REG` and `KVM_SET_ONE_REG`: single registers of an ordinary CPU (Linux's public headers).

use core::mem::size_of;

use zerocopy::byteorder::big_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Argument of both ioctls: 16 bytes. The value lies in user space, at the address, with the size that the id names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct OneReg {
    /// [`RegId`].
    pub id: U64,
    /// Address of the value.
    pub addr: U64,
}
const _: () = assert!(size_of::<OneReg>() == 16);

/// Id of a register: architecture in the first byte, size in bits 8–11 of the first half word, number. Open.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RegId(pub u64);

impl RegId {
    const S390: u64 = 0x5000_0000_0000_0000;
    const U32: u64 = 0x0020_0000_0000_0000;
    const U64: u64 = 0x0030_0000_0000_0000;
    const SIZE: u64 = 0x00f0_0000_0000_0000;

    /// TOD programmable register, 4 bytes.
    pub const TODPR: Self = Self(Self::S390 | Self::U32 | 1);
    /// Epoch: what is added to the host's clock.
    pub const EPOCHDIFF: Self = Self(Self::S390 | Self::U64 | 2);
    /// CPU timer.
    pub const CPU_TIMER: Self = Self(Self::S390 | Self::U64 | 3);
    /// Clock comparator.
    pub const CLOCK_COMP: Self = Self(Self::S390 | Self::U64 | 4);
    /// Token of asynchronous page faults.
    pub const PFTOKEN: Self = Self(Self::S390 | Self::U64 | 5);
    /// What PSW mask bits are compared with for them.
    pub const PFCOMPARE: Self = Self(Self::S390 | Self::U64 | 6);
    /// Which PSW mask bits are compared.
    pub const PFSELECT: Self = Self(Self::S390 | Self::U64 | 7);
    /// Program parameter.
    pub const PP: Self = Self(Self::S390 | Self::U64 | 8);
    /// Breaking-event address.
    pub const GBEA: Self = Self(Self::S390 | Self::U64 | 9);

    /// Bytes of the value, as the id says.
    #[must_use]
    pub const fn size(self) -> usize {
        1 << (((self.0 & Self::SIZE) >> 52) & 0xf)
    }
}

impl core::fmt::Debug for RegId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "RegId({:#018x})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_the_public_header() {
        assert_eq!((RegId::TODPR.0, RegId::TODPR.size()), (0x5020_0000_0000_0001, 4));
        assert_eq!((RegId::GBEA.0, RegId::GBEA.size()), (0x5030_0000_0000_0009, 8));
    }
}
