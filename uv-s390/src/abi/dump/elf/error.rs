//! What can be wrong with a dump file.

use thiserror::Error;

use crate::abi::dump::{BlockError, StorageStateError};

/// A dump file cannot be read, written or decrypted. `E` is the error of its source or sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DumpFileError<E: core::error::Error + 'static> {
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] E),
    /// No big-endian 64-bit ELF core file of machine s390.
    #[error("not an s390 ELF core file")]
    NotS390Core,
    /// A header, section, segment or note reaches outside the file, or is damaged.
    #[error("the dump file is damaged: {0}")]
    Damaged(&'static str),
    /// There is no `pv_compl` section: an ordinary dump.
    #[error("not a dump of a protected guest")]
    NotProtected,
    /// The storage state has no entry for a page, or no whole entries.
    #[error("the storage state has {size} bytes, {needed} are needed")]
    StorageStateSize {
        /// Bytes of the section.
        size: u64,
        /// Bytes needed for the memory in the file.
        needed: u64,
    },
    /// Completion data or a CPU note cannot be opened.
    #[error(transparent)]
    Block(BlockError),
    /// The storage state of a page breaks the rules.
    #[error("page at {address:#x}: {error}")]
    StorageState {
        /// Guest absolute address of the page.
        address: u64,
        /// What is wrong.
        error: StorageStateError,
    },
    /// A part of the file is written out of order, or with another length than announced.
    #[error("{0} written out of order or with another length than announced")]
    Sequence(&'static str),
}
