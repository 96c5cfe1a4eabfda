//! The files of a VM, and how far each was read (power-pef §14).

use alloc::collections::BTreeMap;

use crate::owner::files::FileStore;

/// Bytes of a name.
pub(crate) const NAME: usize = 64;

/// The files of a VM and how far each was read.
#[derive(Default)]
pub(crate) struct FileReads {
    pub(crate) store: Option<FileStore>,
    /// Name → (process, offset after the last byte that was given).
    pub(crate) reads: BTreeMap<[u8; NAME], (u32, u64)>,
}
