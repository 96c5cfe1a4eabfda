//! DIAGNOSE 0x308 as a guest issues it (s390-ultravisor §5.1).
//!
//! Who uses it: the guest, which issues it, and the VMM, which answers.

mod response;

pub use response::{Response, StartFailure};

use core::fmt;

/// One DIAG 308 with the guest state it depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Diag308 {
    /// The guest is in problem state (PSW bit 15).
    pub problem_state: bool,
    /// Number of the register r1, 0 to 15. 0 for a protected guest, whose register numbers are hidden.
    pub r1: u8,
    /// GR r1: a guest absolute address for subcodes 5, 6, 8 and 9.
    pub address: u64,
    /// GR r3: the subcode, all 64 bits.
    pub subcode: u64,
}

impl Diag308 {
    /// A subcode in supervisor state with r1 = 0 and `address` in it.
    #[must_use]
    pub fn new(subcode: Subcode, address: u64) -> Self {
        Self { problem_state: false, r1: 0, address, subcode: subcode.0.into() }
    }
}

/// Subcode of DIAG 308. Open: a guest may put anything there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subcode(pub u16);

impl Subcode {
    /// Modified clear reset.
    pub const MODIFIED_CLEAR: Self = Self(0);
    /// Load normal reset.
    pub const LOAD_NORMAL_RESET: Self = Self(1);
    /// Release HSA; QEMU has none.
    pub const RELEASE_HSA: Self = Self(2);
    /// Load clear: re-IPL.
    pub const LOAD_CLEAR: Self = Self(3);
    /// Load normal with dump.
    pub const LOAD_NORMAL_DUMP: Self = Self(4);
    /// Set the IPIB.
    pub const SET: Self = Self(5);
    /// Store the IPIB.
    pub const STORE: Self = Self(6);
    /// Load normal.
    pub const LOAD_NORMAL: Self = Self(7);
    /// Set the PV IPIB.
    pub const SET_PV: Self = Self(8);
    /// Store the PV IPIB.
    pub const STORE_PV: Self = Self(9);
    /// Start as a protected guest.
    pub const START_PV: Self = Self(10);
}

impl fmt::Debug for Subcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subcode({})", self.0)
    }
}

impl fmt::Display for Subcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
