//! How a call ends inside the machine.

use uv_sim::SpaceError;

use super::frames::ClaimError;
use crate::abi::uvc::{Cc, PgmCode, ProgramInterruption, UvRc, UvRrc};

/// Why a call was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// cc 1 with these codes.
    Code(UvRc, UvRrc),
    /// cc 2, the block unchanged.
    Busy,
    /// cc 3, the block unchanged.
    Partial,
    /// A program interruption.
    Interrupted(ProgramInterruption),
    /// A guest's call that the host must act on first.
    Intercept,
}

pub(crate) type Answer = Result<(), Refusal>;

impl Refusal {
    pub(crate) const fn code(rc: UvRc, rrc: UvRrc) -> Self {
        Self::Code(rc, rrc)
    }

    pub(crate) const fn program(code: PgmCode) -> Self {
        Self::Interrupted(ProgramInterruption::new(code))
    }

    /// The condition code, for a call that gets one.
    pub(crate) const fn cc(self) -> Cc {
        match self {
            Self::Busy => Cc::Busy,
            Self::Partial => Cc::Partial,
            Self::Code(..) | Self::Interrupted(_) | Self::Intercept => Cc::Error,
        }
    }
}

impl From<UvRc> for Refusal {
    fn from(rc: UvRc) -> Self {
        Self::Code(rc, UvRrc(0))
    }
}

impl From<(u16, u16)> for Refusal {
    fn from((rc, rrc): (u16, u16)) -> Self {
        Self::Code(UvRc(rc), UvRrc(rrc))
    }
}

impl From<ClaimError> for Refusal {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Busy => Self::Busy,
            ClaimError::Outside => UvRc::INVALID_ABSOLUTE.into(),
        }
    }
}

impl From<SpaceError> for Refusal {
    fn from(error: SpaceError) -> Self {
        match error {
            // Frames run out for no longer than another call needs to put one back.
            SpaceError::Busy(_) | SpaceError::NoFrame => Self::Busy,
            SpaceError::OutOfRange(_) => UvRc::ADDRESS.into(),
            SpaceError::State { .. } | SpaceError::Closed => UvRc::STATE.into(),
            SpaceError::Integrity(_) => UvRc::STORAGE_INTEGRITY.into(),
            SpaceError::Memory(_) | SpaceError::Unaligned(_) => UvRc::INVALID_ABSOLUTE.into(),
        }
    }
}
