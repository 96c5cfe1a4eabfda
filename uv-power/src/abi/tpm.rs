//! The host's TPM as `H_SVM_TPM_COMM` reaches it (power-pef §4.7).
//!
//! Who uses it: the simulated ultravisor and the host's kernel, which make and serve the call; whoever has a TPM implements [`HostTpm`].
//!
//! The ultravisor makes the call, the host's kernel passes it to user space, whose device `spapr-tpm-proxy` has the TPM. What is said over
//! it are commands of TPM 2.0: the hypervisor passes bytes on.

/// Bytes of the ultravisor's buffer: the longest command, and the least room for a response.
pub const TPM_BUFFER: u64 = 4096;

/// R4 of `H_SVM_TPM_COMM`: passes a command on and gives the response.
pub const TPM_EXECUTE: u64 = 1;

/// R4 of `H_SVM_TPM_COMM`: closes the TPM.
pub const TPM_CLOSE: u64 = 2;

/// The host's TPM did not work. What the ultravisor gets to know of it is `H_RESOURCE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the host's TPM cannot be used")]
pub struct TpmError;

/// The host's TPM resource manager, `host-path` of the device `spapr-tpm-proxy`.
pub trait HostTpm: Send {
    /// Sends a command and reads the response; gives its length. Opens the TPM at the first command.
    ///
    /// # Errors
    /// [`TpmError`] when it cannot be opened, written or read.
    fn execute(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, TpmError>;

    /// Closes the TPM; the next command opens it again.
    fn close(&mut self);
}
