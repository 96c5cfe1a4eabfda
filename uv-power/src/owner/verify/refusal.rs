//! Why an ultravisor refuses a blob.

use alloc::vec::Vec;

use crate::owner::tree::TreeError;

/// What is compared, in the order of comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The RTAS code.
    Rtas,
    /// The flat kernel.
    Kernel,
    /// The initramfs, after an archive that carries the blob.
    Initrd,
    /// The command line.
    Bootargs,
}

impl Part {
    /// All parts in the order of comparison.
    pub const ALL: [Self; 4] = [Self::Rtas, Self::Kernel, Self::Initrd, Self::Bootargs];

    /// Name of the property in the inner tree, and of the stage.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rtas => "rtas",
            Self::Kernel => "kernel",
            Self::Initrd => "initrd",
            Self::Bootargs => "bootargs",
        }
    }
}

/// Why the transition is aborted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The blob is not a device tree.
    #[error("the ESM blob cannot be read: {0}")]
    Blob(TreeError),
    /// The files tree is longer than the page it would be kept in (firmware only).
    #[error("the attached files take {0} bytes, more than the ultravisor's page of 65536")]
    FilesLength(usize),
    /// No lockbox for this machine: none named by its key (documented), or no `lockbox-1` (firmware).
    #[error("the ESM blob has no lockbox for this machine")]
    NoLockbox,
    /// The lockbox has no wrapped key.
    #[error("the lockbox has no encrypted-symkey")]
    NoWrappedKey,
    /// The lockbox does not open with this machine's key.
    #[error("the lockbox does not open with this machine's key")]
    Unwrap,
    /// What the lockbox holds is no key.
    #[error("the lockbox holds {0} bytes, which is no key")]
    KeyLength(usize),
    /// The blob carries no digests.
    #[error("the ESM blob carries no digests")]
    NoDigests,
    /// A property of the sealed digests is missing or unusable.
    #[error("the property {0} of the sealed digests is missing or unusable")]
    DigestsProperty(&'static str),
    /// More sealed bytes than firmware has room for.
    #[error("the sealed digests have {0} bytes, more than 4096")]
    DigestsLength(usize),
    /// The digests were changed, or sealed with another key.
    #[error("the tag of the sealed digests does not match")]
    DigestsTag,
    /// What was sealed is no tree of digests.
    #[error("the opened digests cannot be read: {0}")]
    InnerTree(TreeError),
    /// What was sealed has no node `/digests`.
    #[error("the opened digests have no node /digests")]
    NoInnerNode,
    /// The kernel's digest or size is missing: nothing can be brought in.
    #[error("the property {0} of the digests is missing or malformed")]
    KernelProperty(&'static str),
    /// These parts are not what the owner measured, or have no digest.
    #[error("not what the owner measured: {}", names(.0))]
    Mismatch(Vec<Part>),
}

fn names(parts: &[Part]) -> alloc::string::String {
    parts.iter().map(|part| part.name()).collect::<Vec<_>>().join(", ")
}

impl Refusal {
    /// The step that refused, in one word: `blob`, `files`, `lockbox`, `digests`, or the first part that differs
    /// (`rtas`, `kernel`, `initrd`, `bootargs`).
    #[must_use]
    pub fn stage(&self) -> &'static str {
        match self {
            Self::Blob(_) => "blob",
            Self::FilesLength(_) => "files",
            Self::NoLockbox | Self::NoWrappedKey | Self::Unwrap | Self::KeyLength(_) => "lockbox",
            Self::NoDigests
            | Self::DigestsProperty(_)
            | Self::DigestsLength(_)
            | Self::DigestsTag
            | Self::InnerTree(_)
            | Self::NoInnerNode => "digests",
            Self::KernelProperty(_) => Part::Kernel.name(),
            Self::Mismatch(parts) => parts.first().map_or("digests", |part| part.name()),
        }
    }
}
