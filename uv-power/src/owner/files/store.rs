//! The files as the ultravisor serves them to the guest (power-pef §14).

use alloc::vec::Vec;
use core::fmt;

use uv_crypto::TAG_BYTES;
use zeroize::Zeroizing;

use super::super::sealed::{self, GcmError};
use super::super::tree::Node;
use super::{FILE_LIMIT, NODE};
use crate::abi::profile::Profile;

/// Bytes of the key page that serve as file key.
const KEY: usize = 32;

/// Why a file cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// No file of this name. `UV_ESMB_GET_FILE` answers -1.
    #[error("no file of this name is attached")]
    NotFound,
    /// The blob carries no files, or an unreadable tree of them. `UV_ESMB_GET_FILE` answers a negative number too.
    #[error("the ESM blob carries no files")]
    NoFiles,
    /// algorithm, iv, mac or ciphertext is missing or unusable: `U_PARAMETER`.
    #[error("the file's property {0} is missing or unusable")]
    Property(&'static str),
    /// The file was changed, or sealed with another key: `U_PARAMETER`.
    #[error("the file's tag does not match")]
    TagMismatch,
    /// [`FILE_LIMIT`] bytes or more: firmware would wrap the length, here it is refused.
    #[error("the file has {0} bytes, 65535 at most can be served")]
    TooLong(usize),
}

/// What the ultravisor keeps of a blob after the check: the files, sealed, and the key.
///
/// Lives as long as the secure VM. Its key is wiped when it is dropped.
#[derive(Clone)]
pub struct FileStore {
    profile: Profile,
    root: Option<Node>,
    key: Zeroizing<[u8; KEY]>,
}

impl FileStore {
    /// Keeps the value of `/file` `files-fdt` (`None`: the blob has none) and the unwrapped key. A key shorter than 32
    /// bytes is padded with zeros, as the page it is kept in; a longer one is cut.
    ///
    /// An unreadable tree is kept as no files: firmware notices only when the guest asks.
    #[must_use]
    pub fn new(profile: Profile, files_fdt: Option<&[u8]>, key: &[u8]) -> Self {
        let mut kept = Zeroizing::new([0; KEY]);
        kept.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        Self { profile, root: files_fdt.and_then(|bytes| Node::parse(bytes).ok()), key: kept }
    }

    /// The names a guest can ask for, in on-disk order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let node = self.root.as_ref().and_then(|root| root.child(NODE));
        node.into_iter().flat_map(|node| &node.children).map(|file| file.name.as_str())
    }

    /// Decrypts one file by the name the guest gave, without its NUL padding.
    ///
    /// The name is looked up as a path below `/files`, as firmware does: an empty name addresses `/files` itself,
    /// which has no algorithm. In [`Profile::Documented`] the algorithm must be AES256-GCM and the tag a full one;
    /// in [`Profile::Firmware`] the algorithm must only be there, and the tag may have 4 to 16 bytes.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn read(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, FileError> {
        let root = self.root.as_ref().ok_or(FileError::NoFiles)?;
        let files = root.child(NODE).ok_or(FileError::NotFound)?;
        let file = files.find(name).ok_or(FileError::NotFound)?;
        let value = |name: &'static str| file.value(name).ok_or(FileError::Property(name));
        value("algorithm")?;
        let (iv, mac, ciphertext) = (value("iv")?, value("mac")?, value("ciphertext")?);
        if self.profile == Profile::Documented {
            if file.text("algorithm") != Some(sealed::ALGORITHM) {
                return Err(FileError::Property("algorithm"));
            }
            if mac.len() != TAG_BYTES {
                return Err(FileError::Property("mac"));
            }
        }
        if ciphertext.len() >= FILE_LIMIT {
            return Err(FileError::TooLong(ciphertext.len()));
        }
        sealed::open(&*self.key, iv, ciphertext, mac).map_err(|error| match error {
            GcmError::EmptyIv => FileError::Property("iv"),
            GcmError::TagLength(_) => FileError::Property("mac"),
            GcmError::TagMismatch | GcmError::KeyLength(_) | GcmError::TooLong(_) => FileError::TagMismatch,
        })
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore").field("profile", &self.profile).field("root", &self.root).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{FILE_LIMIT, FileError, FileStore, Node, Profile};
    use crate::owner::samples::{INNER_FILES, expected, hex};
    use crate::owner::sealed;
    use crate::owner::tree::Property;

    fn key() -> alloc::vec::Vec<u8> {
        hex(&expected()["blobs"]["full.dtb"]["symkey_hex"])
    }

    #[test]
    fn serves_every_file_of_the_tool() {
        let expected = expected();
        for profile in Profile::ALL {
            let store = FileStore::new(profile, Some(INNER_FILES), &key());
            let files = expected["blobs"]["full.dtb"]["files_fdt"]["files"].as_array().unwrap();
            assert!(store.names().eq(files.iter().map(|file| file["name"].as_str().unwrap())));
            for file in files {
                let plain = store.read(file["name"].as_str().unwrap()).unwrap();
                assert_eq!(*plain, hex(&file["plaintext_hex"]));
            }
            assert_eq!(store.read("nope"), Err(FileError::NotFound));
            assert_eq!(store.read("rootd/x"), Err(FileError::NotFound));
            assert_eq!(store.read(""), Err(FileError::Property("algorithm")));
        }
    }

    #[test]
    fn n21_no_files_fdt_fails_at_get_file_only() {
        for profile in Profile::ALL {
            for none in [None, Some(b"no tree".as_slice()), Some(&INNER_FILES[..100])] {
                assert_eq!(FileStore::new(profile, none, &key()).read("rootd"), Err(FileError::NoFiles));
            }
        }
    }

    fn changed(change: impl Fn(&mut Node)) -> [Result<usize, FileError>; 2] {
        let mut root = Node::parse(INNER_FILES).unwrap();
        change(root.children[0].child_mut("rootd").unwrap());
        let bytes = root.to_bytes(&[]).unwrap();
        Profile::ALL.map(|profile| FileStore::new(profile, Some(&bytes), &key()).read("rootd").map(|plain| plain.len()))
    }

    fn flip(node: &mut Node, name: &str) {
        let mut value = node.value(name).unwrap().to_vec();
        value[0] ^= 0x80;
        node.set(Property::new(name, value));
    }

    #[test]
    fn changed_files_are_refused() {
        for name in ["ciphertext", "iv", "mac"] {
            assert_eq!(changed(|node| flip(node, name)), [Err(FileError::TagMismatch), Err(FileError::TagMismatch)]);
        }
        for name in ["ciphertext", "iv", "mac", "algorithm"] {
            let missing = changed(|node| node.properties.retain(|property| property.name != name));
            assert_eq!(missing, [Err(FileError::Property(name)), Err(FileError::Property(name))]);
        }
        assert_eq!(changed(|node| node.set(Property::new("iv", []))), [const { Err(FileError::Property("iv")) }; 2]);
        let other = changed(|node| node.set(Property::text("algorithm", "none")));
        assert_eq!(other, [Err(FileError::Property("algorithm")), Ok(28)]);
        let cut = |length: usize| {
            changed(move |node| {
                let mac = node.value("mac").unwrap()[..length].to_vec();
                node.set(Property::new("mac", mac));
            })
        };
        assert_eq!(cut(4), [Err(FileError::Property("mac")), Ok(28)]);
        assert_eq!(cut(3), [const { Err(FileError::Property("mac")) }; 2]);
    }

    #[test]
    fn files_of_64_kib_are_refused() {
        let long = |length: usize| {
            changed(move |node| {
                let (cipher, tag) = sealed::seal(&key(), &[1; 12], &alloc::vec![5; length]).unwrap();
                node.set(Property::new("iv", [1; 12]));
                node.set(Property::new("mac", tag));
                node.set(Property::new("ciphertext", cipher));
            })
        };
        assert_eq!(long(FILE_LIMIT - 1), [const { Ok(FILE_LIMIT - 1) }; 2]);
        assert_eq!(long(FILE_LIMIT), [const { Err(FileError::TooLong(FILE_LIMIT)) }; 2]);
    }

    #[test]
    fn nothing_secret_is_printed() {
        let text = alloc::format!("{:?}", FileStore::new(Profile::Firmware, None, &key()));
        assert_eq!(text, "FileStore { profile: Firmware, root: None, .. }");
    }
}
