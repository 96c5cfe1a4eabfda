//! What can be wrong with a key or a key slot.

use thiserror::Error;

/// A byte string does not have the one length its type allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected exactly {expected} bytes, got {actual}")]
pub struct BadLength {
    /// The length the type has, in bytes.
    pub expected: usize,
    /// The length that was given, in bytes.
    pub actual: usize,
}

/// A host or customer key cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text is not PEM, or holds no block of a kind that can carry this key.
    #[error("no usable PEM block in the input")]
    Pem,
    /// The DER structure is damaged.
    #[error("not a valid DER encoding of the expected structure")]
    Der,
    /// The key is no elliptic curve key, or one on another curve than NIST P-521.
    #[error("the key is not an elliptic curve key on NIST P-521")]
    NotP521,
    /// The key is not one that can be a retrievable secret.
    #[error("the key is none on NIST P-256, P-384 or P-521, and no Ed25519 or Ed448 key")]
    Curve,
    /// The coordinates are no point of the curve, or the padding bytes are not zero.
    #[error("the coordinates are not a point on NIST P-521")]
    NotOnCurve,
    /// The private scalar is zero, not below the group order, or longer than 80 bytes.
    #[error("the private scalar is outside the range of NIST P-521")]
    ScalarRange,
}

/// A key slot cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SlotError {
    /// No slot is addressed to one of the given host keys.
    #[error("no key slot for this host key")]
    NoMatchingSlot,
    /// The customer public key in the document is no point of the curve.
    #[error("bad customer public key")]
    CustomerKey,
    /// The slot names the host key, but its GCM tag does not verify.
    #[error("key slot authentication failed")]
    Tag,
}
