//! What can be wrong with the data of a dump.

use thiserror::Error;

/// A completion block or CPU note cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BlockError {
    /// Fewer bytes than the block has, or more than a page.
    #[error("a block of {0} bytes")]
    Size(usize),
    /// Another version than 1.
    #[error("unsupported version {0} of the block")]
    Version(u32),
    /// The length field of a completion block is not 288.
    #[error("the completion data states a length of {0} bytes")]
    Length(u32),
    /// The tag does not verify: another customer communication key, or changed data.
    #[error("authentication failed: wrong key or changed data")]
    Authentication,
}

/// The entry of a special page breaks the rules (s390-formats §7.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StorageStateError {
    /// Byte 14 is not zero.
    #[error("byte 14 of the entry is {0:#04x}")]
    Byte14(u8),
    /// Reserved flags are set.
    #[error("reserved flags {0:#04x} in the entry")]
    Reserved(u8),
    /// No flag is set.
    #[error("the entry has no flag")]
    NoFlag,
    /// Both zero and shared.
    #[error("the entry says both zero and shared")]
    ZeroAndShared,
    /// Mapped, but neither zero nor shared.
    #[error("the entry says mapped and nothing else")]
    MappedAlone,
}
