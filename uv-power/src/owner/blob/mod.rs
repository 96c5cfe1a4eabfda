//! The blob as its owner sees it: read, write, create, authorize, revoke (power-pef §12).
//!
//! Who uses it: the guest owner's tools.
//!
//! A blob is kept as the tree it was read from, so that properties this library does not know survive a rewrite, where the
//! format's own tool accepts any. Reading is as strict as that tool is; what a machine accepts is decided by
//! [`verify`](super::verify).

mod content;
mod valid;

use alloc::string::String;
use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::files::FilesError;
use super::keys::{PrivateKey, PublicKey};
use super::lockbox::{Lockbox, LockboxError, LockboxName};
use super::sealed::{CommentError, MasterKey, SealedError};
use super::tree::{COMPATIBLE, Node, Property, TreeError};

/// Property names in the order of a complete blob's strings block.
const NAMES: [&str; 9] = [
    "compatible",
    "untrusted-comment",
    "encrypted-symkey",
    "algorithm",
    "hash",
    "ciphertext",
    "iv",
    "mac",
    "files-fdt",
];

/// Why a blob cannot be read or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// Not a device tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A device tree of something else.
    #[error("not an ESM blob: the root is not compatible with \"ibm,esm\"")]
    Foreign,
    /// A part that every blob has is missing.
    #[error("the ESM blob has no {0}")]
    Missing(&'static str),
    /// A node that no blob has.
    #[error("the ESM blob has an unknown node /{0}")]
    Unknown(String),
    /// A property that no blob has there.
    #[error("the ESM blob has an unknown property /{0}")]
    UnknownProperty(String),
    /// A lockbox is malformed, stands twice, or cannot be made.
    #[error("{0}: {1}")]
    Lockbox(String, LockboxError),
    /// A name stands twice.
    #[error("/{0} stands twice in the ESM blob")]
    Twice(String),
    /// The key that should be authorized is already.
    #[error("the key is already authorized by {0}")]
    Present(LockboxName),
    /// No lockbox is for this private key.
    #[error("the private key opens no lockbox of the ESM blob")]
    NotYours,
    /// No lockbox is for this public key.
    #[error("the key is not authorized in the ESM blob")]
    NotAuthorized,
    /// The owner's own lockbox stays.
    #[error("the origin lockbox cannot be revoked")]
    Origin,
    /// The highest lockbox number is in use.
    #[error("no lockbox number is left")]
    Full,
    /// A sealed part cannot be used.
    #[error("{0}: {1}")]
    Sealed(&'static str, SealedError),
    /// The digests are there but malformed inside.
    #[error("digests: {0}")]
    Digests(#[from] super::digests::DigestsError),
    /// The attached files are malformed, or a file cannot be attached or found.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// See [`CommentError`].
    #[error(transparent)]
    Comment(#[from] CommentError),
}

/// An ESM blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    root: Node,
}

impl Blob {
    /// A new blob with a new master key, wrapped for its owner. It has no digests and no files yet.
    ///
    /// # Errors
    /// [`BlobError::Lockbox`]: a bad comment, or a key too short to wrap for.
    pub fn create<R: CryptoRng + ?Sized>(owner: &PublicKey, comment: &str, rng: &mut R) -> Result<Self, BlobError> {
        let key = MasterKey::generate(rng);
        let origin = sealed_lockbox(LockboxName::Origin, &key, owner, comment, rng)?;
        let mut root = Node::new("");
        root.set(Property::text("compatible", COMPATIBLE));
        let mut lockboxes = Node::new("lockboxes");
        lockboxes.children.push(origin.to_node());
        root.children = [lockboxes, Node::new("digest"), Node::new("file")].into();
        Ok(Self { root })
    }

    /// Reads a blob and checks its parts as the format's own tool does ([`BlobError`] names what it refuses). What is sealed
    /// stays sealed; digests and files-fdt are looked at when they are used.
    ///
    /// # Errors
    /// [`BlobError`]: a device tree that is none, foreign, incomplete, or with unknown nodes or properties; malformed lockboxes;
    /// malformed children of `/file`.
    pub fn parse(bytes: &[u8]) -> Result<Self, BlobError> {
        let blob = Self { root: Node::parse(bytes)? };
        blob.check()?;
        Ok(blob)
    }

    /// The packed device tree, as the format's own tool writes it (power-pef §12.1) but for padding, which is zero here.
    ///
    /// # Errors
    /// [`BlobError::Tree`] if a part is longer than 4 GiB.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BlobError> {
        Ok(self.root.to_bytes(&NAMES)?)
    }

    /// The whole tree, for a display of every part.
    #[must_use]
    pub const fn tree(&self) -> &Node {
        &self.root
    }

    /// All lockboxes in on-disk order: newest first, the owner's last.
    ///
    /// # Errors
    /// [`BlobError::Lockbox`].
    pub fn lockboxes(&self) -> Result<Vec<Lockbox>, BlobError> {
        let node = self.root.child("lockboxes").ok_or(BlobError::Missing("/lockboxes"))?;
        let read =
            |child: &Node| Lockbox::from_node(child).map_err(|error| BlobError::Lockbox(child.name.clone(), error));
        node.children.iter().map(read).collect()
    }

    /// The master key, opened with any private key that has a lockbox.
    ///
    /// The lockboxes that name the key are tried first. One that does not may still open: some tools store a
    /// fingerprint over the file they were given, in whatever form it was.
    ///
    /// # Errors
    /// [`BlobError::NotYours`], or [`BlobError::Lockbox`] where the lockbox that names the key does not open.
    pub fn unlock(&self, key: &PrivateKey) -> Result<MasterKey, BlobError> {
        let lockboxes = self.lockboxes()?;
        let (named, others): (Vec<_>, Vec<_>) = lockboxes.iter().partition(|lockbox| lockbox.is_for(key.public()));
        let mut failure = BlobError::NotYours;
        for lockbox in named {
            match lockbox.open(key) {
                Ok(master) => return Ok(master),
                Err(error) => failure = BlobError::Lockbox(alloc::format!("{}", lockbox.name), error),
            }
        }
        others.into_iter().find_map(|lockbox| lockbox.open(key).ok()).ok_or(failure)
    }

    /// Adds a lockbox for `recipient`: number = highest in use + 1, in front of the others.
    ///
    /// # Errors
    /// [`BlobError::Present`], [`BlobError::NotYours`], [`BlobError::Full`], [`BlobError::Lockbox`].
    pub fn authorize<R: CryptoRng + ?Sized>(
        &mut self,
        recipient: &PublicKey,
        comment: &str,
        with: &PrivateKey,
        rng: &mut R,
    ) -> Result<LockboxName, BlobError> {
        let lockboxes = self.lockboxes()?;
        if let Some(present) = lockboxes.iter().find(|lockbox| lockbox.is_for(recipient)) {
            return Err(BlobError::Present(present.name));
        }
        let key = self.unlock(with)?;
        let highest = lockboxes.iter().map(|lockbox| match lockbox.name {
            LockboxName::Origin => 0,
            LockboxName::Number(number) => number,
        });
        let number = highest.max().unwrap_or(0).checked_add(1).ok_or(BlobError::Full)?;
        let lockbox = sealed_lockbox(LockboxName::Number(number), &key, recipient, comment, rng)?;
        let node = self.root.child_mut("lockboxes").ok_or(BlobError::Missing("/lockboxes"))?;
        node.children.insert(0, lockbox.to_node());
        Ok(lockbox.name)
    }

    /// Removes the lockbox of `recipient` and gives its name.
    ///
    /// Whoever had the lockbox may have kept the master key; revoking ends only what comes after. Once
    /// [`LockboxName::FIRST`] is gone while a higher one stays, no firmware opens the blob any more.
    ///
    /// # Errors
    /// [`BlobError::Origin`], [`BlobError::NotAuthorized`].
    pub fn revoke(&mut self, recipient: &PublicKey) -> Result<LockboxName, BlobError> {
        let lockboxes = self.lockboxes()?;
        let mine = |at: &usize| lockboxes.get(*at).is_some_and(|lockbox| lockbox.is_for(recipient));
        let at = (0..lockboxes.len()).find(mine).ok_or(BlobError::NotAuthorized)?;
        if lockboxes[at].name == LockboxName::Origin {
            return Err(BlobError::Origin);
        }
        let node = self.root.child_mut("lockboxes").ok_or(BlobError::Missing("/lockboxes"))?;
        node.children.remove(at);
        Ok(lockboxes[at].name)
    }
}

fn sealed_lockbox<R: CryptoRng + ?Sized>(
    name: LockboxName,
    key: &MasterKey,
    recipient: &PublicKey,
    comment: &str,
    rng: &mut R,
) -> Result<Lockbox, BlobError> {
    Lockbox::seal(name, key, recipient, comment, rng)
        .map_err(|error| BlobError::Lockbox(alloc::format!("{name}"), error))
}

#[cfg(test)]
mod tests;
