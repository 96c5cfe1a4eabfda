//! Why the host's TPM did not open a lockbox.

use crate::abi::codes::HvCode;
use crate::owner::keys::KeyError;

/// Why the host's TPM did not open a lockbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TpmFailure {
    /// The hypervisor refused `H_SVM_TPM_COMM`.
    #[error("the hypervisor answered H_SVM_TPM_COMM with {0}")]
    Hypercall(HvCode),
    /// The page for commands and responses cannot be reached.
    #[error("no buffer for the TPM: {0}")]
    Buffer(&'static str),
    /// A response that is none to the command.
    #[error("malformed response to {0}")]
    Malformed(&'static str),
    /// The TPM refused a command, or the hypervisor says so.
    #[error("{command} ended with {code:#x}")]
    Refused {
        /// The command.
        command: &'static str,
        /// The TPM's response code.
        code: u32,
    },
    /// The TPM has another key than the machine was started with.
    #[error("the key in the TPM is not the machine's")]
    Name,
    /// The response was not made by the TPM for this command: changed, of an earlier command, or made up.
    #[error("the response is not the TPM's answer to this command")]
    Authentication,
}

impl From<KeyError> for TpmFailure {
    fn from(_: KeyError) -> Self {
        Self::Name
    }
}
