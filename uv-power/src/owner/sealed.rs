//! One sealed value: the five properties that digests-fdt and every file have (power-pef §12.2, §12.5).
//!
//! Who uses it: `blob`, `files` and `verify`; whoever looks into a blob.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use rand_core::CryptoRng;
pub use uv_crypto::gcm::GcmError;
use uv_crypto::{TAG_BYTES, gcm};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::tree::{Node, Property};

/// Text of the `algorithm` property of every sealed value.
pub const ALGORITHM: &str = "AES256-GCM";

/// Bytes of the initialisation vector that is written, as the format's own tool does.
const IV: usize = 16;

/// Encrypts, and gives the ciphertext (of the same length) with its full tag; no additional data.
///
/// # Errors
/// [`GcmError::KeyLength`], [`GcmError::EmptyIv`].
pub(crate) fn seal(key: &[u8], iv: &[u8], plaintext: &[u8]) -> Result<(Vec<u8>, [u8; TAG_BYTES]), GcmError> {
    let mut data = Vec::from(plaintext);
    let tag = gcm::seal(key, iv, &[], &mut data)?;
    Ok((data, tag))
}

/// Opens what a blob carries, whatever its key, iv and tag are like; no additional data.
///
/// # Errors
/// Every variant of [`GcmError`]; no plaintext leaves on a mismatch.
pub(crate) fn open(key: &[u8], iv: &[u8], ciphertext: &[u8], tag: &[u8]) -> Result<Zeroizing<Vec<u8>>, GcmError> {
    let mut data = Zeroizing::new(Vec::from(ciphertext));
    gcm::open(key, iv, &[], &mut data, tag)?;
    Ok(data)
}

/// A blob's master key: 32 bytes, one per blob, made at its creation and never changed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct MasterKey([u8; Self::LENGTH]);

impl MasterKey {
    /// Bytes of a master key.
    pub const LENGTH: usize = 32;

    /// A new random key.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut key = Self([0; Self::LENGTH]);
        rng.fill_bytes(&mut key.0);
        key
    }

    /// A key from its bytes; `None` if they are not 32.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The key itself: a secret of the guest owner.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

/// Why a sealed value cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealedError {
    /// A property is missing, or is a text without its end.
    #[error("the property {0} is missing or malformed")]
    Property(&'static str),
    /// The algorithm is not [`ALGORITHM`].
    #[error("the algorithm {0:?} is not {ALGORITHM}")]
    Algorithm(String),
    /// The tag has not 16 bytes.
    #[error("a mac of {0} bytes is not a full one of 16")]
    ShortMac(usize),
    /// Key, iv or tag do not fit.
    #[error(transparent)]
    Gcm(#[from] GcmError),
}

/// A comment that cannot be stored: it holds a line break or a NUL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a comment must be one line without NUL bytes")]
pub struct CommentError;

/// Refuses a comment that holds a line break or a NUL.
///
/// # Errors
/// [`CommentError`].
pub fn check_comment(comment: &str) -> Result<(), CommentError> {
    if comment.contains(['\n', '\r', '\0']) { Err(CommentError) } else { Ok(()) }
}

/// A sealed value as stored. Nothing in it is secret; the comment and the lengths are not protected either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Full tag, 16 bytes when written by a tool.
    pub mac: Vec<u8>,
    /// Initialisation vector, 16 random bytes when written by a tool.
    pub iv: Vec<u8>,
    /// Same length as the plaintext.
    pub ciphertext: Vec<u8>,
    /// Free text of the owner; not authenticated.
    pub untrusted_comment: String,
    /// [`ALGORITHM`].
    pub algorithm: String,
}

impl Sealed {
    /// Seals `plaintext` under a fresh 16-byte iv.
    ///
    /// # Errors
    /// [`CommentError`].
    pub fn seal<R: CryptoRng + ?Sized>(
        key: &MasterKey,
        plaintext: &[u8],
        comment: &str,
        rng: &mut R,
    ) -> Result<Self, CommentError> {
        check_comment(comment)?;
        let mut iv = [0; IV];
        rng.fill_bytes(&mut iv);
        let (ciphertext, mac) =
            seal(key.as_bytes(), &iv, plaintext).expect("a key of 32 bytes and an iv of 16 are always accepted");
        Ok(Self {
            mac: mac.into(),
            iv: iv.into(),
            ciphertext,
            untrusted_comment: comment.into(),
            algorithm: ALGORITHM.into(),
        })
    }

    /// Opens the value as its owner does: only the one algorithm, only a full tag.
    ///
    /// # Errors
    /// [`SealedError`]; no plaintext leaves on a mismatch.
    pub fn open(&self, key: &MasterKey) -> Result<Zeroizing<Vec<u8>>, SealedError> {
        if self.algorithm != ALGORITHM {
            return Err(SealedError::Algorithm(self.algorithm.clone()));
        }
        if self.mac.len() != TAG_BYTES {
            return Err(SealedError::ShortMac(self.mac.len()));
        }
        Ok(open(key.as_bytes(), &self.iv, &self.ciphertext, &self.mac)?)
    }

    /// Reads the five properties. A missing comment reads as an empty one.
    ///
    /// # Errors
    /// [`SealedError::Property`].
    pub fn from_node(node: &Node) -> Result<Self, SealedError> {
        let bytes = |name: &'static str| node.value(name).map(Vec::from).ok_or(SealedError::Property(name));
        Ok(Self {
            mac: bytes("mac")?,
            iv: bytes("iv")?,
            ciphertext: bytes("ciphertext")?,
            untrusted_comment: match node.value("untrusted-comment") {
                None => String::new(),
                Some(_) => node.text("untrusted-comment").ok_or(SealedError::Property("untrusted-comment"))?.into(),
            },
            algorithm: node.text("algorithm").ok_or(SealedError::Property("algorithm"))?.into(),
        })
    }

    /// A node of this name with the five properties in their on-disk order.
    #[must_use]
    pub fn to_node(&self, name: &str) -> Node {
        Node {
            name: name.into(),
            properties: [
                Property::new("mac", self.mac.as_slice()),
                Property::new("iv", self.iv.as_slice()),
                Property::new("ciphertext", self.ciphertext.as_slice()),
                Property::text("untrusted-comment", &self.untrusted_comment),
                Property::text("algorithm", &self.algorithm),
            ]
            .into(),
            children: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CommentError, GcmError, MasterKey, Sealed, SealedError};
    use crate::owner::samples::rng;

    #[test]
    fn what_was_sealed_opens_with_the_same_key_only() {
        let mut rng = rng(1);
        let key = MasterKey::generate(&mut rng);
        let sealed = Sealed::seal(&key, b"secret", "note", &mut rng).unwrap();
        assert_eq!(Sealed::from_node(&sealed.to_node("x")).unwrap(), sealed);
        assert_eq!(**sealed.open(&key).unwrap(), *b"secret");
        let other = MasterKey::generate(&mut rng);
        assert_eq!(sealed.open(&other), Err(SealedError::Gcm(GcmError::TagMismatch)));
        let again = Sealed::seal(&key, b"secret", "note", &mut rng).unwrap();
        assert_ne!(again.iv, sealed.iv);
    }

    #[test]
    fn owners_take_the_one_algorithm_and_full_tags_only() {
        let mut rng = rng(2);
        let key = MasterKey::generate(&mut rng);
        let good = Sealed::seal(&key, b"secret", "", &mut rng).unwrap();
        let mut bad = good.clone();
        bad.mac.truncate(8);
        assert_eq!(bad.open(&key), Err(SealedError::ShortMac(8)));
        let bad = Sealed { algorithm: "AES128-GCM".into(), ..good };
        assert_eq!(bad.open(&key), Err(SealedError::Algorithm("AES128-GCM".into())));
    }

    #[test]
    fn n09_comment_with_newline_is_refused() {
        let mut rng = rng(3);
        let key = MasterKey::generate(&mut rng);
        for comment in ["a\nb", "a\n", "a\rb", "a\0"] {
            assert_eq!(Sealed::seal(&key, b"", comment, &mut rng), Err(CommentError));
        }
    }

    #[test]
    fn nothing_secret_is_printed() {
        assert_eq!(alloc::format!("{:?}", MasterKey::generate(&mut rng(4))), "MasterKey(..)");
    }
}
