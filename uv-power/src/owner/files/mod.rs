//! Files attached to a blob: secrets that the guest asks its ultravisor for (power-pef §12.5, §14).
//!
//! Who uses it: the owner's tools, which attach files; the ultravisor, which serves them.
//!
//! Each file is sealed with the blob's master key. The list itself (names, comments, sizes) is not protected.

mod store;

use alloc::string::String;
use alloc::vec::Vec;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::sealed::{CommentError, MasterKey, Sealed, SealedError};
use super::tree::{Node, Property, TreeError};

pub use store::{FileError, FileStore};

/// `compatible` of the inner tree.
const COMPATIBLE: &str = "ibm,esm-file";
/// Node of the inner tree.
const NODE: &str = "files";
/// Longest name.
const NAME_MAX: usize = 31;

/// Files of this many bytes or more cannot be read through `UV_ESMB_GET_FILE`: its length field has 16 bits.
pub const FILE_LIMIT: usize = 0x1_0000;
/// Firmware keeps the inner tree in one page; a longer one cannot be used on it.
pub const TREE_LIMIT: usize = 0x1_0000;

/// Property names in the order of the inner tree's strings block.
const NAMES: [&str; 6] = ["compatible", "algorithm", "untrusted-comment", "ciphertext", "iv", "mac"];

/// Why the files of a blob cannot be read or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilesError {
    /// The inner tree is no device tree.
    #[error("files-fdt: {0}")]
    Tree(#[from] TreeError),
    /// The inner tree has no `/files`.
    #[error("files-fdt: no node /files")]
    NoNode,
    /// The name breaks the rule of [`check_name`].
    #[error("{0:?} is not a file name: a letter, then up to 30 of letters, digits and , . _ + -")]
    Name(String),
    /// The name is in use.
    #[error("a file {0:?} is already attached")]
    Present(String),
    /// No file has this name.
    #[error("no file {0:?} is attached")]
    NotFound(String),
    /// [`FILE_LIMIT`] bytes or more.
    #[error("a file of {0} bytes is too long: at most 65535 can be attached")]
    TooLong(usize),
    /// The file does not open.
    #[error("file {0:?}: {1}")]
    Sealed(String, SealedError),
    /// See [`CommentError`].
    #[error(transparent)]
    Comment(#[from] CommentError),
}

/// Refuses a name that is not a letter followed by up to 30 of letters, digits and `,._+-`.
///
/// # Errors
/// [`FilesError::Name`].
pub fn check_name(name: &str) -> Result<(), FilesError> {
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || b",._+-".contains(&byte);
    let good = name.len() <= NAME_MAX
        && name.bytes().next().is_some_and(|first| first.is_ascii_alphabetic())
        && name.bytes().all(rest);
    if good { Ok(()) } else { Err(FilesError::Name(name.into())) }
}

/// The attached files, each still sealed, in on-disk order: latest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    root: Node,
}

impl Default for Files {
    /// No files.
    fn default() -> Self {
        let mut root = Node::new("");
        root.set(Property::text("compatible", COMPATIBLE));
        root.children.push(Node::new(NODE));
        Self { root }
    }
}

impl Files {
    /// Reads the value of `/file` `files-fdt`.
    ///
    /// # Errors
    /// [`FilesError::Tree`], [`FilesError::NoNode`].
    pub fn parse(bytes: &[u8]) -> Result<Self, FilesError> {
        let root = Node::parse(bytes)?;
        if root.child(NODE).is_none() {
            return Err(FilesError::NoNode);
        }
        Ok(Self { root })
    }

    /// The inner tree, as the format's own tool writes it but for padding, which is zero here.
    ///
    /// # Errors
    /// [`FilesError::Tree`] if it is longer than 4 GiB.
    pub fn to_bytes(&self) -> Result<Vec<u8>, FilesError> {
        Ok(self.root.to_bytes(&NAMES)?)
    }

    fn nodes(&self) -> &[Node] {
        self.root.child(NODE).map_or(&[], |node| &node.children)
    }

    /// The names, latest first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.nodes().iter().map(|node| node.name.as_str())
    }

    /// A file as stored.
    ///
    /// # Errors
    /// [`FilesError::NotFound`]; [`FilesError::Sealed`] if a property is missing.
    pub fn get(&self, name: &str) -> Result<Sealed, FilesError> {
        let node = self.nodes().iter().find(|node| node.name == name);
        let node = node.ok_or_else(|| FilesError::NotFound(name.into()))?;
        Sealed::from_node(node).map_err(|error| FilesError::Sealed(name.into(), error))
    }

    /// Seals `plaintext` and puts it in front.
    ///
    /// # Errors
    /// [`FilesError::Name`], [`FilesError::Present`], [`FilesError::TooLong`], [`FilesError::Comment`].
    pub fn attach<R: CryptoRng + ?Sized>(
        &mut self,
        name: &str,
        plaintext: &[u8],
        key: &MasterKey,
        comment: &str,
        rng: &mut R,
    ) -> Result<(), FilesError> {
        check_name(name)?;
        if self.names().any(|present| present == name) {
            return Err(FilesError::Present(name.into()));
        }
        if plaintext.len() >= FILE_LIMIT {
            return Err(FilesError::TooLong(plaintext.len()));
        }
        let sealed = Sealed::seal(key, plaintext, comment, rng)?;
        self.root.child_mut(NODE).ok_or(FilesError::NoNode)?.children.insert(0, sealed.to_node(name));
        Ok(())
    }

    /// Removes a file.
    ///
    /// # Errors
    /// [`FilesError::NotFound`].
    pub fn detach(&mut self, name: &str) -> Result<(), FilesError> {
        let node = self.root.child_mut(NODE).ok_or(FilesError::NoNode)?;
        let at = node.children.iter().position(|child| child.name == name);
        node.children.remove(at.ok_or_else(|| FilesError::NotFound(name.into()))?);
        Ok(())
    }

    /// Opens a file.
    ///
    /// # Errors
    /// [`FilesError::NotFound`], [`FilesError::Sealed`].
    pub fn extract(&self, name: &str, key: &MasterKey) -> Result<Zeroizing<Vec<u8>>, FilesError> {
        self.get(name)?.open(key).map_err(|error| FilesError::Sealed(name.into(), error))
    }
}

#[cfg(test)]
mod tests {
    use super::{Files, FilesError, check_name};
    use crate::owner::samples::{INNER_FILES, rng, zero_padding};
    use crate::owner::sealed::MasterKey;

    #[test]
    fn rebuilds_the_inner_tree_of_the_tool() {
        let files = Files::parse(INNER_FILES).unwrap();
        assert!(files.names().eq(["nul.bin", "k65.bin", "k64.bin", "f200.txt", "crypttab", "rootd"]));
        assert!(files.to_bytes().unwrap() == zero_padding(INNER_FILES));
    }

    #[test]
    fn n08_attach_name_1x_or_32_characters_is_refused() {
        let (mut rng, mut files) = (rng(1), Files::default());
        let key = MasterKey::generate(&mut rng);
        let longest = "a".repeat(31);
        for name in ["1x", &"a".repeat(32), "", "-a", "a b", "a/b", "a@1", "ä", ".a"] {
            assert_eq!(files.attach(name, b"", &key, "", &mut rng), Err(FilesError::Name(name.into())));
        }
        for name in [&longest, "a", "Z9,._+-"] {
            assert_eq!(files.attach(name, b"", &key, "", &mut rng), Ok(()));
            assert_eq!(check_name(name), Ok(()));
        }
    }

    #[test]
    fn attach_and_detach() {
        let (mut rng, mut files) = (rng(2), Files::default());
        let key = MasterKey::generate(&mut rng);
        files.attach("a", b"one", &key, "", &mut rng).unwrap();
        files.attach("b", &[7; 65535], &key, "c", &mut rng).unwrap();
        assert_eq!(files.attach("a", b"", &key, "", &mut rng), Err(FilesError::Present("a".into())));
        assert_eq!(files.attach("c", &[7; 65536], &key, "", &mut rng), Err(FilesError::TooLong(65536)));
        let mut files = Files::parse(&files.to_bytes().unwrap()).unwrap();
        assert!(files.names().eq(["b", "a"]));
        assert_eq!(**files.extract("a", &key).unwrap(), *b"one");
        files.detach("b").unwrap();
        assert_eq!(files.detach("b"), Err(FilesError::NotFound("b".into())));
        assert_eq!(files.extract("b", &key), Err(FilesError::NotFound("b".into())));
        files.detach("a").unwrap();
        assert_eq!(Files::parse(&files.to_bytes().unwrap()).unwrap(), Files::default());
    }
}
