//! What can be wrong with an attestation request, one variant per return code of the Ultravisor.

use thiserror::Error;

use crate::owner::request::OpenError;

/// An ARCB is refused. [`Self::rc`] gives the Ultravisor's return code (s390-ultravisor §9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ArcbError {
    /// The first eight bytes are not zero.
    #[error("not an attestation request: the first eight bytes are not zero")]
    Magic,
    /// The request version is not 0x100.
    #[error("unsupported attestation request version {0:#x}")]
    Version(u32),
    /// The length does not fit the version and the number of key slots, or the bytes at hand are fewer or more.
    #[error("attestation request length {stated} does not fit (at hand: {actual} bytes)")]
    Length {
        /// Length field of the header; 0 if there is not even a header.
        stated: u32,
        /// Bytes that were given.
        actual: usize,
    },
    /// There is no key slot.
    #[error("attestation request without a key slot")]
    KeySlots,
    /// The encrypted area is neither 64 bytes, nor 80 with a nonce.
    #[error("encrypted area of {0} bytes in an attestation request")]
    EncryptedSize(u32),
    /// Flags that are not supported.
    #[error("unsupported attestation flags {0:#018x}")]
    Flags(u64),
    /// The measurement algorithm is not HMAC-SHA-512.
    #[error("unsupported measurement algorithm {0}")]
    Algorithm(u32),
    /// No key slot opens, or the tag does not verify.
    #[error("cannot unseal the attestation request: {0}")]
    Unseal(#[from] OpenError),
}

impl ArcbError {
    /// Return code of the Retrieve Attestation Measurement call for this error.
    ///
    /// A wrong magic is reported like an unknown version; what real firmware does with these reserved bytes is not
    /// known.
    #[must_use]
    pub const fn rc(self) -> u16 {
        match self {
            Self::Magic | Self::Version(_) => 0x106,
            Self::Length { .. } => 0x107,
            Self::KeySlots => 0x108,
            Self::EncryptedSize(_) => 0x109,
            Self::Flags(_) => 0x10a,
            Self::Algorithm(_) => 0x10b,
            Self::Unseal(_) => 0x10c,
        }
    }
}
