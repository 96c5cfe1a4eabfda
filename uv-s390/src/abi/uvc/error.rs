//! A UV call that did not do what was asked.

use uv_core::ErrorKind;

use super::{Cc, ProgramInterruption, UvRc, UvRrc};
use crate::abi::uvcb::UvCommand;

/// The Ultravisor's refusal of a call, with its raw codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{command}: cc {}, rc {rc}, rrc {rrc}", u8::from(*.cc))]
pub struct UvError {
    /// The command.
    pub command: UvCommand,
    /// How the instruction ended: [`Cc::Error`], or [`Cc::Busy`] and [`Cc::Partial`] when the retries were used up.
    pub cc: Cc,
    /// The stored response code; 0 with [`Cc::Busy`] and [`Cc::Partial`].
    pub rc: UvRc,
    /// The stored reason code.
    pub rrc: UvRrc,
}

impl UvError {
    /// Whether the call asked for more data than fits: what was stored is valid (query and list of secrets).
    #[must_use]
    pub fn is_more_data(&self) -> bool {
        self.rc == UvRc::MORE_DATA && matches!(self.command, UvCommand::QUI | UvCommand::LIST_SECRETS)
    }
}

impl uv_core::Error for UvError {
    fn kind(&self) -> ErrorKind {
        match self.cc {
            Cc::Busy => return ErrorKind::Busy,
            Cc::Partial => return ErrorKind::Partial,
            Cc::Done | Cc::Error => {}
        }
        match self.rc {
            UvRc::INVALID_COMMAND => return ErrorKind::Unsupported,
            UvRc::INVALID_STATE | UvRc::NO_RESUME => return ErrorKind::WrongState,
            UvRc::TRANSLATION | UvRc::INVALID_ABSOLUTE => return ErrorKind::PageMissing,
            _ => {}
        }
        of_command(self.command, self.rc.base())
    }
}

/// What to do about the codes that depend on the command.
fn of_command(command: UvCommand, rc: UvRc) -> ErrorKind {
    match command {
        UvCommand::UNPACK_IMG | UvCommand::CONV_TO_SEC_STOR => match rc {
            UvRc::NOT_MAPPED => ErrorKind::PageMissing,
            UvRc::ALREADY_SECURE => ErrorKind::WrongState,
            UvRc::STORAGE_INTEGRITY => ErrorKind::Integrity,
            _ => ErrorKind::InvalidArgument,
        },
        UvCommand::SET_SEC_CONF_PARAMS => match rc {
            UvRc::HEADER_ACCESS => ErrorKind::PageMissing,
            UvRc::HEADER_VERSION | UvRc::HEADER_PCF | UvRc::HEADER_SCF => ErrorKind::Unsupported,
            UvRc::HEADER_KEY => ErrorKind::Permission,
            UvRc::HEADER_CORRUPT => ErrorKind::Integrity,
            _ => ErrorKind::InvalidArgument,
        },
        UvCommand::VERIFY_IMG => ErrorKind::Integrity,
        UvCommand::INIT_UV if rc == UvRc::INIT_ALREADY => ErrorKind::WrongState,
        UvCommand::CREATE_SEC_CPU if rc == UvRc::CPU_DEFINED => ErrorKind::WrongState,
        UvCommand::DESTROY_SEC_CONF_FAST if rc == UvRc::DESTROY_FAST_AP => ErrorKind::WrongState,
        UvCommand::RETR_ATTEST if rc == UvRc::ATTEST_OPEN => ErrorKind::Permission,
        UvCommand::ADD_SECRET => match rc {
            UvRc::SECRET_NOT_ALLOWED | UvRc::SECRET_OPEN => ErrorKind::Permission,
            UvRc::SECRET_LOCKED | UvRc::SECRET_DUMPING => ErrorKind::WrongState,
            UvRc::SECRET_FULL => ErrorKind::Exhausted,
            _ => ErrorKind::InvalidArgument,
        },
        UvCommand::LOCK_SECRETS if rc == UvRc::SECRET_LOCKED => ErrorKind::WrongState,
        _ if rc == UvRc::STATE => ErrorKind::WrongState,
        _ => ErrorKind::InvalidArgument,
    }
}

/// Why a call through [`call`](super::call) failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CallError {
    /// The Ultravisor refused.
    #[error(transparent)]
    Refused(#[from] UvError),
    /// The instruction ended with a program interruption.
    #[error("{command}: {interruption}")]
    Interrupted {
        /// The command.
        command: UvCommand,
        /// What the instruction ended with.
        interruption: ProgramInterruption,
    },
}

impl CallError {
    /// The Ultravisor's refusal, if it is one.
    #[must_use]
    pub const fn refused(&self) -> Option<&UvError> {
        match self {
            Self::Refused(error) => Some(error),
            Self::Interrupted { .. } => None,
        }
    }
}

impl uv_core::Error for CallError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused(error) => error.kind(),
            Self::Interrupted { .. } => ErrorKind::Fatal,
        }
    }
}
