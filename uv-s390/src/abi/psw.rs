//! Program status words as SE images carry them, and their masks.
//!
//! Who uses it: every party that says where a CPU starts.
//!
//! Source: s390-formats §2.5.

use core::mem::{offset_of, size_of};

use zerocopy::byteorder::big_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// PSW mask of everything in an image: extended and basic addressing, that is 64-bit mode.
pub const MASK_64BIT: u64 = 0x0000_0001_8000_0000;

/// PSW bit 6: I/O mask.
pub const PSW_IO: u64 = 1 << (63 - 6);
/// PSW bit 7: external mask.
pub const PSW_EXTERNAL: u64 = 1 << (63 - 7);
/// PSW bit 13: machine-check mask.
pub const PSW_MACHINE_CHECK: u64 = 1 << (63 - 13);
/// The three masks for interruptions.
pub const PSW_INTERRUPTIONS: u64 = PSW_IO | PSW_EXTERNAL | PSW_MACHINE_CHECK;
/// PSW bit 14: wait.
pub const PSW_WAIT: u64 = 1 << (63 - 14);
/// PSW bit 5: dynamic address translation.
pub const PSW_DAT: u64 = 1 << (63 - 5);
/// PSW bit 15: problem state.
pub const PSW_PROBLEM: u64 = 1 << (63 - 15);
/// PSW bits 16 and 17: address-space control.
pub const PSW_SPACE: u64 = 3 << (63 - 17);
/// PSW bits 18 and 19: the condition code.
pub const PSW_CC: u64 = 3 << (63 - 19);

/// A PSW mask with this condition code (cut to two bits).
#[must_use]
pub const fn with_condition_code(mask: u64, cc: u8) -> u64 {
    // Widening only; `From` is not const.
    let code = u64::from_be_bytes([0, 0, 0, 0, 0, 0, 0, cc & 3]);
    mask & !PSW_CC | code << PSW_CC.trailing_zeros()
}

/// Bit 12 of a short PSW, always one.
const SHORT_FORM: u64 = 0x0008_0000_0000_0000;

/// Bits 33 to 63 of a short PSW: the instruction address.
const SHORT_ADDRESS: u64 = 0x7fff_ffff;

/// A 16-byte PSW: 8 bytes of mask, 8 bytes of instruction address, big endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Psw {
    /// Bits 0 to 63.
    pub mask: U64,
    /// Instruction address.
    pub address: U64,
}

const _: () = {
    assert!(size_of::<Psw>() == 16);
    assert!(offset_of!(Psw, mask) == 0);
    assert!(offset_of!(Psw, address) == 8);
};

impl Psw {
    /// A PSW from native integers.
    #[must_use]
    pub const fn new(mask: u64, address: u64) -> Self {
        Self { mask: U64::new(mask), address: U64::new(address) }
    }

    /// A PSW in 64-bit mode at `address`.
    #[must_use]
    pub const fn at(address: u64) -> Self {
        Self::new(MASK_64BIT, address)
    }

    /// The 8-byte short form, or `None` if there is none: the mask must leave bit 12 and bits 33 to 63
    /// clear, and the address must fit into 31 bits.
    ///
    /// ```
    /// use uv_s390::abi::psw::Psw;
    /// assert_eq!(Psw::at(0x11000).short(), Some(0x0008_0001_8001_1000));
    /// assert_eq!(Psw::at(1 << 31).short(), None);
    /// ```
    #[must_use]
    pub const fn short(self) -> Option<u64> {
        let (mask, address) = (self.mask.get(), self.address.get());
        if mask & (SHORT_FORM | SHORT_ADDRESS) != 0 || address > SHORT_ADDRESS {
            return None;
        }
        Some(mask | SHORT_FORM | address)
    }

    /// The PSW that an 8-byte short form stands for, or `None` if its bit 12 is zero.
    #[must_use]
    pub const fn from_short(word: u64) -> Option<Self> {
        if word & SHORT_FORM == 0 {
            return None;
        }
        Some(Self::new(word & !(SHORT_FORM | SHORT_ADDRESS), word & SHORT_ADDRESS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_form_refuses_what_does_not_fit() {
        assert_eq!(Psw::new(MASK_64BIT | SHORT_FORM, 0).short(), None);
        assert_eq!(Psw::new(MASK_64BIT | 1, 0).short(), None);
        assert_eq!(Psw::new(MASK_64BIT, 0x8000_0000).short(), None);
        let psw = Psw::at(0x7fff_fffe);
        assert_eq!(psw.short().and_then(Psw::from_short), Some(psw));
        assert_eq!(Psw::from_short(0x0000_0001_8001_1000), None);
    }
}
