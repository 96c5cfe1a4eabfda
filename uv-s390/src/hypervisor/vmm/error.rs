//! What goes wrong in the VMM.

use uv_core::{ErrorKind, Unsupported};

use super::ipl::StartError;
use crate::abi::uvc::{UvRc, UvRrc};
use crate::hypervisor::kernel::HostError;

/// Why an operation on a VM failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VmmError {
    /// The kernel refused it.
    #[error(transparent)]
    Kernel(#[from] HostError),
    /// The start as a protected guest failed; see the response for the guest.
    #[error("start as a protected guest: {0}")]
    Start(#[from] StartError),
}

impl VmmError {
    /// The Ultravisor's codes, (0, 0) where it was not asked.
    #[must_use]
    pub const fn codes(&self) -> (UvRc, UvRrc) {
        match self {
            Self::Kernel(error) => error.codes(),
            Self::Start(start) => (start.rc, start.rrc),
        }
    }
}

impl From<Unsupported> for VmmError {
    fn from(unsupported: Unsupported) -> Self {
        Self::Kernel(unsupported.into())
    }
}

impl uv_core::Error for VmmError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Kernel(error) => error.kind(),
            Self::Start(start) => start.kind(),
        }
    }
}
