//! Where a start as a protected guest failed.

use core::fmt;

use uv_core::ErrorKind;

use crate::abi::Errno;
use crate::abi::diag308::{Response, StartFailure};
use crate::abi::uvc::{UvRc, UvRrc};
use crate::hypervisor::uapi::PvCommand;
use crate::hypervisor::uapi::client::PvError;

/// Steps of the start, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StartStep {
    /// Subsystem and crypto reset, then the CPUs.
    Reset,
    /// No discarding of guest memory from now on.
    ForbidDiscard,
    /// No migration from now on.
    ForbidMigration,
    /// KVM_PV_ENABLE: configuration and CPUs are made.
    Enable,
    /// KVM_PV_INFO, where dumps are possible.
    Info,
    /// KVM_PV_SET_SEC_PARMS: the SE header goes to the Ultravisor.
    SetParameters,
    /// KVM_PV_UNPACK of the component with this number.
    Unpack(u32),
    /// KVM_PV_VERIFY.
    Verify,
    /// The initiating CPU loads its PSW and runs.
    Load,
}

impl fmt::Display for StartStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reset => f.write_str("reset devices and CPUs"),
            Self::ForbidDiscard => f.write_str("forbid discarding of memory"),
            Self::ForbidMigration => f.write_str("forbid migration"),
            Self::Enable => f.write_str("create configuration and CPUs"),
            Self::Info => f.write_str("query"),
            Self::SetParameters => f.write_str("set SE header"),
            Self::Unpack(index) => write!(f, "unpack component {index}"),
            Self::Verify => f.write_str("verify"),
            Self::Load => f.write_str("load PSW"),
        }
    }
}

/// A failed start. The VM is ordinary again and the guest goes on behind its DIAG 308 with `response` in GR r1+1; what was
/// unpacked is lost to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{step}: {}rc {rc}, rrc {rrc}", ErrnoText(*.errno))]
pub struct StartError {
    /// Where it failed.
    pub step: StartStep,
    /// The command's error number; `None` where the machine model refused.
    pub errno: Option<Errno>,
    /// The Ultravisor's rc; 0 where it was not asked.
    pub rc: UvRc,
    /// Its rrc.
    pub rrc: UvRrc,
    /// What the guest gets in GR r1+1.
    pub response: Response,
    /// The configuration was set aside: run KVM_PV_ASYNC_CLEANUP_PERFORM on a thread of its own.
    pub cleanup_pending: bool,
    /// Protection could not be ended. A VMM ends itself here: the guest's memory cannot be used any more.
    pub fatal: bool,
    kind: ErrorKind,
}

impl StartError {
    pub(super) fn refused(step: StartStep) -> Self {
        Self {
            step,
            errno: None,
            rc: UvRc(0),
            rrc: UvRrc(0),
            response: Response::CANNOT_ENTER,
            cleanup_pending: false,
            fatal: false,
            kind: ErrorKind::WrongState,
        }
    }

    /// `details` puts command and codes into the response, as newer QEMU does for the commands that are defined there.
    pub(super) fn command(step: StartStep, error: PvError, details: bool) -> Self {
        let defined = matches!(error.command, PvCommand::SET_SEC_PARMS | PvCommand::UNPACK | PvCommand::VERIFY);
        let command = u16::try_from(error.command.0).unwrap_or_default();
        let failure = StartFailure { command, rc: error.rc.0, rrc: error.rrc.0 };
        Self {
            errno: Some(error.errno),
            rc: error.rc,
            rrc: error.rrc,
            response: if details && defined { failure.response() } else { Response::CANNOT_ENTER },
            kind: uv_core::Error::kind(&error),
            ..Self::refused(step)
        }
    }

    pub(super) fn errno(step: StartStep, errno: Errno) -> Self {
        Self { errno: Some(errno), ..Self::refused(step) }
    }
}

struct ErrnoText(Option<Errno>);

impl fmt::Display for ErrnoText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(errno) => write!(f, "{errno}, "),
            None => Ok(()),
        }
    }
}

impl uv_core::Error for StartError {
    fn kind(&self) -> ErrorKind {
        if self.fatal { ErrorKind::Fatal } else { self.kind }
    }
}
