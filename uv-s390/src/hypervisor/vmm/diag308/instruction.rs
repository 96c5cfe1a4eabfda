//! The instruction as the hypervisor sees it, and what may come of it.

use core::fmt;

use super::Response;
use crate::abi::uvc::PgmCode;

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

/// Rewrites a page with an IPIB in place.
pub type Rebuild = dyn Fn(&mut [u8]);

/// What the answer depends on besides the guest.
#[derive(Clone, Copy)]
pub struct Machine<'a> {
    /// Facility 161 (unpack): the guest may become a protected guest.
    pub unpack_facility: bool,
    /// The guest's memory is backed by huge pages, which cannot become secure.
    pub huge_pages: bool,
    /// Subcode 5 with block type 0xff: rewrites the 4096 bytes of the IPIB for the boot device that it names, in place.
    /// `None` stores such a block as it is.
    pub rebuild: Option<&'a Rebuild>,
}

impl fmt::Debug for Machine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine")
            .field("unpack_facility", &self.unpack_facility)
            .field("huge_pages", &self.huge_pages)
            .field("rebuild", &self.rebuild.is_some())
            .finish()
    }
}

impl Default for Machine<'_> {
    /// A machine that can protect guests, with memory in 4 KiB pages.
    fn default() -> Self {
        Self { unpack_facility: true, huge_pages: false, rebuild: None }
    }
}

/// What comes of a DIAG 308.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A program interruption for the guest; nothing else was done.
    Program(PgmCode),
    /// The response for GR r1+1; the guest goes on.
    Response(Response),
    /// The machine is to be reset or loaded; the guest does not go on behind the instruction.
    Reset(ResetRequest),
}

/// A request for the whole machine, to be carried out once all CPUs have stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResetRequest {
    /// Subcode 0: subsystem reset, clear reset of all CPUs, then the PSW at 0.
    ModifiedClear,
    /// Subcode 1: subsystem reset, CPU resets, then the PSW at 0. Memory and other CPUs' registers stay.
    LoadNormal,
    /// Subcode 3: full reset and load from the IPIB of subcode 5. A protected guest becomes an ordinary one.
    ReIpl,
    /// Subcode 10: start as a protected guest from the IPIB of subcode 8.
    Protected,
}

impl ResetRequest {
    /// Whether management software is told of it as a reboot of the guest (QEMU: SHUTDOWN_CAUSE_GUEST_RESET, which
    /// `-no-reboot` stops at). Only a re-IPL is one; all others are subsystem resets, which make no event.
    #[must_use]
    pub const fn is_guest_reboot(self) -> bool {
        matches!(self, Self::ReIpl)
    }
}
