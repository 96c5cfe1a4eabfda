//! What goes wrong in the hypervisor's kernel.

use crate::abi::sie::Validity;
use crate::abi::uvc::{CallError, Cc, ProgramInterruption, UvRc, UvRrc};
use uv_core::{AccessError, ArgumentError, ErrorKind, Gfn, SlotError, SlotId};

/// Why a kernel-level operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// The Ultravisor refused, or the call ended with a program interruption.
    #[error(transparent)]
    Call(#[from] CallError),
    /// No storage left to donate or to work in.
    #[error("no host storage of {0} bytes is free")]
    NoStorage(u64),
    /// The host's own access failed.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The argument is one that no machine accepts.
    #[error(transparent)]
    Argument(#[from] ArgumentError),
    /// The memory slots of the guest are not acceptable.
    #[error(transparent)]
    Slot(#[from] SlotError),
    /// There is no memory slot with this number.
    #[error("there is no memory slot {}", .0.0)]
    NoSuchSlot(SlotId),
    /// The page has no memory behind it, or memory that cannot become secure (huge pages).
    #[error("guest page {0} cannot be made available for secure storage")]
    Fault(Gfn),
    /// The VM is not protected.
    #[error("the VM is not protected")]
    NotProtected,
    /// The VM is protected already.
    #[error("the VM is protected already")]
    Protected,
    /// The machine has no Ultravisor for hosts, or it was not initialized.
    #[error("the machine is no Ultravisor host")]
    NoUltravisor,
    /// The machine does not have the call.
    #[error("the machine does not have this call")]
    NotInstalled,
    /// The last exit of the virtual CPU did not ask for this, or asked for another VM.
    #[error("the guest did not ask to become protected")]
    NotAsked,
    /// A configuration is set aside already, or none is.
    #[error("a configuration is set aside already, or none is")]
    SetAside,
    /// The guest's address space is too small for a deferred end (segment table, at most 2 GiB).
    #[error("the guest's address space is designated by a segment table")]
    SegmentTable,
    /// There is no such CPU, or its number is taken, or there are too many.
    #[error("CPU {0} is not there, is there already, or is one too many")]
    Cpu(u16),
    /// The CPU is stopped, or the VM is being dumped: it cannot run.
    #[error("the CPU cannot run now")]
    CannotRun,
    /// No dump was begun, or one was begun already.
    #[error("the dump calls are out of order")]
    Dump,
    /// The page is not shared.
    #[error("guest page {0} is not shared")]
    NotShared(Gfn),
    /// The machine refused to enter the guest.
    #[error("validity interception {0:?}")]
    Validity(Validity),
    /// The host took an interruption that it cannot serve.
    #[error("unserved {0}")]
    Interruption(ProgramInterruption),
    /// The VM is too far for this: it has vCPUs.
    #[error("the VM has vCPUs already")]
    Busy,
    /// An interruption of this kind is pending already, and they do not queue; or there is no room for one more.
    #[error("such an interruption is pending already")]
    InterruptionPending,
    /// The interruption cannot be made pending there, or the CPU cannot take it.
    #[error("the interruption cannot be delivered there")]
    InterruptionRefused,
    /// The Ultravisor is busy, or a page was just made available: the same again may work.
    #[error("not now, try again")]
    Again,
    /// The caller asked to stop waiting.
    #[error("stopped by the caller")]
    Stopped,
}

impl HostError {
    /// The Ultravisor's codes, (0, 0) where it was not asked.
    #[must_use]
    pub const fn codes(&self) -> (UvRc, UvRrc) {
        match self {
            Self::Call(CallError::Refused(error)) => (error.rc, error.rrc),
            _ => (UvRc(0), UvRrc(0)),
        }
    }
}

impl HostError {
    /// Whether a call was given up while it was busy or partially done: nobody knows what it has taken.
    pub(super) fn is_unfinished(&self) -> bool {
        let Self::Call(call) = self else { return false };
        call.refused().is_some_and(|refused| matches!(refused.cc, Cc::Busy | Cc::Partial))
    }
}

impl From<uv_core::Unsupported> for HostError {
    fn from(_: uv_core::Unsupported) -> Self {
        Self::NotInstalled
    }
}

impl uv_core::Error for HostError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Call(error) => error.kind(),
            Self::NoStorage(_) => ErrorKind::Exhausted,
            Self::Access(_) | Self::Fault(_) => ErrorKind::PageMissing,
            Self::Argument(_) | Self::Slot(_) | Self::NoSuchSlot(_) | Self::Cpu(_) | Self::InterruptionRefused => {
                ErrorKind::InvalidArgument
            }
            Self::NoUltravisor | Self::NotInstalled => ErrorKind::Unsupported,
            Self::NotProtected
            | Self::Protected
            | Self::NotAsked
            | Self::SetAside
            | Self::SegmentTable
            | Self::CannotRun
            | Self::Dump
            | Self::NotShared(_)
            | Self::Busy
            | Self::Validity(_) => ErrorKind::WrongState,
            Self::Interruption(_) => ErrorKind::Fatal,
            Self::Stopped | Self::Again | Self::InterruptionPending => ErrorKind::Busy,
        }
    }
}
