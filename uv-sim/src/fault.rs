//! Why the engine did not do what it was asked.

use uv_core::{Access, AccessError, ErrorKind, Gfn, HostAddr, PageState};

/// A refusal of the engine. Nothing was changed. The engine has no codes: each machine turns these into its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpaceError {
    /// Another thread is changing the page, or a guest access to it does not end; call again.
    #[error("page {0} is being changed or accessed by another caller")]
    Busy(Gfn),
    /// The page number is past the end of the VM's memory.
    #[error("page {0} is past the end of the VM's memory")]
    OutOfRange(Gfn),
    /// The page is in a state from which this move does not exist.
    #[error("page {gfn} is {state:?}")]
    State {
        /// The page.
        gfn: Gfn,
        /// Its state, unchanged.
        state: PageState,
    },
    /// What was presented is not the newest sealed version of this page of this VM.
    #[error("page {0}: the content presented is not the newest that was sealed for it")]
    Integrity(Gfn),
    /// No secure frame is free.
    #[error("no secure frame is free")]
    NoFrame,
    /// Normal memory that is to stand behind a shared page does not begin at a page boundary.
    #[error("the normal memory at {0} does not begin at a page boundary")]
    Unaligned(HostAddr),
    /// Normal memory could not be reached.
    #[error(transparent)]
    Memory(#[from] AccessError),
    /// The VM is being ended, or has ended.
    #[error("the VM has ended")]
    Closed,
}

impl uv_core::Error for SpaceError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Busy(_) => ErrorKind::Busy,
            Self::OutOfRange(_) | Self::Unaligned(_) => ErrorKind::InvalidArgument,
            Self::State { .. } | Self::Closed => ErrorKind::WrongState,
            Self::Integrity(_) => ErrorKind::Integrity,
            Self::NoFrame => ErrorKind::Exhausted,
            Self::Memory(_) => ErrorKind::PageMissing,
        }
    }
}

/// A guest access that could not be done. The part before `gfn` may have been done; the access is to be repeated as a
/// whole after the cause was served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuestFault {
    /// The page is not in secure memory: absent, sealed, or shared with its normal page withdrawn.
    #[error("{access:?} at page {gfn}, which is {state:?}")]
    Missing {
        /// The page.
        gfn: Gfn,
        /// Its state.
        state: PageState,
        /// What the guest wanted.
        access: Access,
    },
    /// Another thread is changing the page; repeat the access.
    #[error("page {0} is being changed")]
    Busy(Gfn),
    /// The address is past the end of the VM's memory.
    #[error("page {0} is past the end of the VM's memory")]
    OutOfRange(Gfn),
    /// The normal page behind a shared page could not be reached.
    #[error("page {gfn}: {error}")]
    Memory {
        /// The page.
        gfn: Gfn,
        /// Why.
        error: AccessError,
    },
    /// The VM has ended.
    #[error("the VM has ended")]
    Closed,
}

#[cfg(test)]
mod tests {
    use uv_core::Error as _;

    use super::*;

    #[test]
    fn every_refusal_says_what_a_caller_can_do() {
        let at = HostAddr(1);
        for (error, kind) in [
            (SpaceError::Busy(Gfn(1)), ErrorKind::Busy),
            (SpaceError::OutOfRange(Gfn(1)), ErrorKind::InvalidArgument),
            (SpaceError::Unaligned(at), ErrorKind::InvalidArgument),
            (SpaceError::State { gfn: Gfn(1), state: PageState::Absent }, ErrorKind::WrongState),
            (SpaceError::Closed, ErrorKind::WrongState),
            (SpaceError::Integrity(Gfn(1)), ErrorKind::Integrity),
            (SpaceError::NoFrame, ErrorKind::Exhausted),
            (SpaceError::Memory(AccessError::Unmapped { at, len: 1 }), ErrorKind::PageMissing),
        ] {
            assert_eq!(error.kind(), kind, "{error}");
        }
    }
}
