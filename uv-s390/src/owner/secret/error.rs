//! What can be wrong with an add-secret request, by return code of the Ultravisor.

use thiserror::Error;

use crate::abi::secret::SecretType;
use crate::owner::request::OpenError;

/// An add-secret request is refused. [`Self::rc`] gives the Ultravisor's return code (s390-ultravisor §9.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AsrcbError {
    /// The request does not begin with `asrcbM`.
    #[error("not an add-secret request")]
    Magic,
    /// The request version is not 0x100.
    #[error("unsupported add-secret request version {0:#x}")]
    Version(u32),
    /// The length does not fit the parts, or the bytes at hand are fewer or more.
    #[error("add-secret request length {stated} does not fit (at hand: {actual} bytes)")]
    Size {
        /// Length field of the header; 0 if there is not even a header.
        stated: u32,
        /// Bytes that were given.
        actual: usize,
    },
    /// There is no key slot.
    #[error("add-secret request without a key slot")]
    KeySlots,
    /// Flags that are not supported.
    #[error("unsupported add-secret flags {0:#018x}")]
    Flags(u64),
    /// No key slot opens, or the tag does not verify.
    #[error("cannot decrypt the add-secret request: {0}")]
    Decrypt(#[from] OpenError),
    /// The type of the secret is not known.
    #[error("unsupported secret type {}", .0.0)]
    UnsupportedSecret(SecretType),
    /// The secret has a length its type cannot have, or that differs from the encrypted area or the secret header.
    #[error("bad length {length} of a secret of type {kind}")]
    SecretLength {
        /// Type of the secret.
        kind: SecretType,
        /// Length stated in the secret header.
        length: u32,
    },
}

impl AsrcbError {
    /// Return code of the Add Secret call for this error. A wrong magic is reported like an unknown version; what real
    /// firmware does with it is not known.
    #[must_use]
    pub const fn rc(self) -> u16 {
        match self {
            Self::Magic | Self::Version(_) => 0x104,
            Self::Size { .. } => 0x105,
            Self::KeySlots => 0x106,
            Self::Flags(_) => 0x107,
            Self::Decrypt(_) => 0x108,
            Self::UnsupportedSecret(_) => 0x109,
            Self::SecretLength { .. } => 0x10a,
        }
    }
}
