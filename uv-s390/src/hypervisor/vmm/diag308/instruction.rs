//! The instruction as the hypervisor sees it, and what may come of it.

use core::fmt;

use crate::abi::diag308::Response;
use crate::abi::uvc::PgmCode;

/// Rewrites a page with an IPIB in place.
pub type Rebuild = dyn Fn(&mut [u8]);

/// What the answer depends on besides the guest.
#[derive(Clone, Copy)]
pub struct MachineModel<'a> {
    /// Facility 161 (unpack): the guest may become a protected guest.
    pub unpack_facility: bool,
    /// The guest's memory is backed by huge pages, which cannot become secure.
    pub huge_pages: bool,
    /// Subcode 5 with block type 0xff: rewrites the 4096 bytes of the IPIB for the boot device that it names, in place.
    /// `None` stores such a block as it is.
    pub rebuild: Option<&'a Rebuild>,
}

impl fmt::Debug for MachineModel<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MachineModel")
            .field("unpack_facility", &self.unpack_facility)
            .field("huge_pages", &self.huge_pages)
            .field("rebuild", &self.rebuild.is_some())
            .finish()
    }
}

impl Default for MachineModel<'_> {
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
