//! Why an SE header is refused.

use thiserror::Error;

use super::flags::{PlaintextControlFlags, SecretControlFlags};
use super::layout::{HeaderVersion, MAX_SIZE};

/// Why an SE header cannot be read, opened or used. Every check has its own variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// Fewer bytes than the fixed part of a header (416).
    #[error("an SE header cannot have only {0} bytes")]
    TooShort(usize),
    /// The first eight bytes are not the magic.
    #[error("no SE header: it does not begin with IBMSecEx")]
    Magic([u8; 8]),
    /// The version word is not a known one.
    #[error("the SE header has the unknown version {:#x}", .0.0)]
    Version(HeaderVersion),
    /// The header states more bytes than any header may have.
    #[error("the SE header states {0} bytes; at most {MAX_SIZE} are allowed")]
    TooLarge(u32),
    /// The stated size does not fit the number of key slots.
    #[error("the SE header states {stated} bytes, but has {slots} key slots")]
    Size {
        /// Bytes that the header states.
        stated: u32,
        /// Number of key slots that the header states.
        slots: u64,
    },
    /// The stated size is not the number of bytes that are there.
    #[error("the SE header states {stated} bytes, but {available} are there")]
    Length {
        /// Bytes that the header states.
        stated: u32,
        /// Bytes that were given.
        available: usize,
    },
    /// The size of the encrypted area is not the one of this version.
    #[error("the SE header has an encrypted area of {0} bytes")]
    EncryptedSize(u64),
    /// The header has no key slot.
    #[error("the SE header has no key slot")]
    NoSlots,
    /// More key slots than a header may have (only when writing one).
    #[error("{0} key slots do not fit into an SE header")]
    TooManySlots(usize),
    /// Plaintext control flags that are not supported.
    #[error("unsupported plaintext control flags {:#018x}", .0.bits())]
    PlaintextFlags(PlaintextControlFlags),
    /// No key slot is for the given host key.
    #[error("no key slot of the SE header is for this host key")]
    NoMatchingSlot,
    /// The slot for the given host key cannot be unwrapped with it.
    #[error("the key slot for this host key does not open: the SE header was changed")]
    Slot,
    /// The customer public key is not a point of the curve.
    #[error("the customer public key of the SE header is not valid")]
    CustomerKey,
    /// The tag does not match: another header key, or the header was changed.
    #[error("the SE header does not match its tag: wrong header key, or the header was changed")]
    Tag,
    /// Secret control flags that are not supported.
    #[error("unsupported secret control flags {:#018x}", .0.bits())]
    SecretFlags(SecretControlFlags),
    /// The encrypted area announces optional items; none are defined.
    #[error("the SE header has {0} optional items; none are defined")]
    OptionalItems(u32),
}

impl HeaderError {
    /// The Ultravisor's rc and rrc for this refusal when SET_SEC_CONF_PARAMS reports it
    /// (s390-formats §3, s390-ultravisor §1.7).
    ///
    /// Not published, and chosen here with care not to claim a known reason wrongly: a bad magic
    /// counts as an unknown version; a slot that is there for the host key but does not unwrap counts
    /// as no matching slot (0108/0005); a header whose tag does not match is a corrupt header
    /// (rc 010a) with the rrc 0000, which no published reason has; optional items count as an invalid
    /// encrypted area.
    #[must_use]
    pub const fn uv_code(&self) -> (u16, u16) {
        match self {
            Self::Magic(_) | Self::Version(_) => (0x0104, 0x0001),
            Self::TooShort(_) | Self::TooLarge(_) | Self::Size { .. } | Self::Length { .. } | Self::TooManySlots(_) => {
                (0x010a, 0x0031)
            }
            Self::EncryptedSize(_) | Self::OptionalItems(_) => (0x010a, 0x0039),
            Self::NoSlots => (0x010a, 0x0040),
            Self::PlaintextFlags(_) => (0x0106, 0x0030),
            Self::NoMatchingSlot | Self::Slot => (0x0108, 0x0005),
            Self::CustomerKey => (0x0108, 0x000b),
            Self::Tag => (0x010a, 0x0000),
            Self::SecretFlags(_) => (0x0109, 0x0000),
        }
    }
}
