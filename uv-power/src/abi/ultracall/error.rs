//! A refused ultracall.

use uv_core::ErrorKind;

use crate::abi::codes::UvCode;
use crate::abi::numbers::UltracallNumber;

/// An ultracall that did not return success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{call}: {code}")]
pub struct UvError {
    /// Which call.
    pub call: UltracallNumber,
    /// What it returned.
    pub code: UvCode,
}

impl uv_core::Error for UvError {
    /// A code can have several causes; the kind is the one that is left when the caller's arguments are well formed.
    fn kind(&self) -> ErrorKind {
        match (self.call, self.code) {
            // The address is in a slot and aligned, so the content was refused.
            (UltracallNumber::UV_PAGE_IN, UvCode::U_P3) => ErrorKind::Integrity,
            (UltracallNumber::UV_PAGE_IN | UltracallNumber::UV_PAGE_INVAL, UvCode::U_P2) => ErrorKind::WrongState,
            (
                UltracallNumber::UV_SEND_SBE_COMMAND | UltracallNumber::UV_READ_SCOM | UltracallNumber::UV_WRITE_SCOM,
                UvCode::U_XSCOM_BUSY,
            ) => ErrorKind::Busy,
            (_, UvCode::U_BUSY | UvCode::U_RETRY) => ErrorKind::Busy,
            (_, UvCode::U_PARAMETER | UvCode::U_P2 | UvCode::U_P3 | UvCode::U_P4 | UvCode::U_P5) => {
                ErrorKind::InvalidArgument
            }
            (_, UvCode::U_PERMISSION | UvCode::U_NO_KEY) => ErrorKind::Permission,
            (_, UvCode::U_STATE | UvCode::U_INVALID | UvCode::U_BAD_MODE) => ErrorKind::WrongState,
            (_, UvCode::U_FUNCTION | UvCode::U_UNSUPPORTED | UvCode::U_NOT_AVAILABLE) => ErrorKind::Unsupported,
            _ => ErrorKind::Fatal,
        }
    }
}
