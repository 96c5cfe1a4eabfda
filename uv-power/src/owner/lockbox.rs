//! One lockbox: the master key, wrapped for one public key (power-pef §12.2, §12.3).
//!
//! Who uses it: the owner's tools; the ultravisor by way of `verify`.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use rand_core::CryptoRng;

use super::keys::{KeyError, PrivateKey, PublicKey};
use super::sealed::{CommentError, MasterKey, check_comment};
use super::tree::{Node, Property};

const ORIGIN: &str = "origin-lockbox";
const NUMBERED: &str = "lockbox-";
const FINGERPRINT: &str = "pubkey-fingerprint";
const FINGERPRINT_ALGORITHM: &str = "SHA256";

/// Which lockbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LockboxName {
    /// `origin-lockbox`: the owner's, made with the blob, always present.
    Origin,
    /// `lockbox-N`, N from 1: one per authorized key.
    Number(u32),
}

impl LockboxName {
    /// The lockbox that firmware opens; it looks at no other.
    pub const FIRST: Self = Self::Number(1);

    /// Reads a node name. The number may have zeros and a plus sign in front, as the format's own tool accepts; it is at most
    /// 4294967295 here.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let digits = match name.strip_prefix(NUMBERED) {
            None => return (name == ORIGIN).then_some(Self::Origin),
            Some(digits) => digits,
        };
        digits.parse().ok().filter(|number| *number > 0).map(Self::Number)
    }
}

impl fmt::Display for LockboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Origin => f.write_str(ORIGIN),
            Self::Number(number) => write!(f, "{NUMBERED}{number}"),
        }
    }
}

/// Why a lockbox cannot be read, made or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockboxError {
    /// A property or child that no lockbox has.
    #[error("it has an unknown part {0}")]
    Unknown(String),
    /// Neither `origin-lockbox` nor `lockbox-N`.
    #[error("{0:?} is not the name of a lockbox")]
    Name(String),
    /// A property is missing or malformed.
    #[error("the property {0} is missing or malformed")]
    Property(&'static str),
    /// The fingerprint is not a SHA-256.
    #[error("the fingerprint is not a SHA256 of 32 bytes")]
    Fingerprint,
    /// See [`CommentError`].
    #[error(transparent)]
    Comment(#[from] CommentError),
    /// Wrapping or unwrapping failed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// What was unwrapped is not a master key of 32 bytes.
    #[error("it holds {0} bytes and not a master key of 32")]
    MasterKeyLength(usize),
}

/// A lockbox as stored. Nothing in it is secret without the private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lockbox {
    /// Which one.
    pub name: LockboxName,
    /// RSA-OAEP ciphertext, as long as the key's modulus.
    pub encrypted_symkey: Vec<u8>,
    /// Free text of the owner; not authenticated.
    pub untrusted_comment: String,
    /// SHA-256 that names the public key.
    pub fingerprint: [u8; 32],
}

impl Lockbox {
    /// Wraps `key` for `recipient`.
    ///
    /// # Errors
    /// [`LockboxError::Comment`], [`LockboxError::Key`].
    pub fn seal<R: CryptoRng + ?Sized>(
        name: LockboxName,
        key: &MasterKey,
        recipient: &PublicKey,
        comment: &str,
        rng: &mut R,
    ) -> Result<Self, LockboxError> {
        check_comment(comment)?;
        Ok(Self {
            name,
            encrypted_symkey: recipient.wrap(key.as_bytes(), rng)?,
            untrusted_comment: comment.into(),
            fingerprint: recipient.fingerprint().0,
        })
    }

    /// Unwraps the master key.
    ///
    /// # Errors
    /// [`LockboxError::Key`], [`LockboxError::MasterKeyLength`].
    pub fn open(&self, key: &PrivateKey) -> Result<MasterKey, LockboxError> {
        let bytes = key.unwrap(&self.encrypted_symkey)?;
        MasterKey::from_bytes(&bytes).ok_or(LockboxError::MasterKeyLength(bytes.len()))
    }

    /// True if the lockbox names this public key.
    #[must_use]
    pub fn is_for(&self, key: &PublicKey) -> bool {
        key.is_named_by(&self.fingerprint)
    }

    /// Reads a child of `/lockboxes`.
    ///
    /// # Errors
    /// [`LockboxError::Unknown`], [`LockboxError::Name`], [`LockboxError::Property`], [`LockboxError::Fingerprint`].
    pub fn from_node(node: &Node) -> Result<Self, LockboxError> {
        let missing = LockboxError::Property;
        only(node, &["encrypted-symkey", "untrusted-comment"])?;
        if let Some(other) = node.children.iter().find(|child| child.name != FINGERPRINT) {
            return Err(LockboxError::Unknown(other.name.clone()));
        }
        let named = node.child(FINGERPRINT).ok_or(missing(FINGERPRINT))?;
        only(named, &["algorithm", "hash"])?;
        if named.text("algorithm") != Some(FINGERPRINT_ALGORITHM) {
            return Err(LockboxError::Fingerprint);
        }
        Ok(Self {
            name: LockboxName::parse(&node.name).ok_or_else(|| LockboxError::Name(node.name.clone()))?,
            encrypted_symkey: node.value("encrypted-symkey").ok_or(missing("encrypted-symkey"))?.into(),
            untrusted_comment: node.text("untrusted-comment").ok_or(missing("untrusted-comment"))?.into(),
            fingerprint: named.value("hash").and_then(|hash| hash.try_into().ok()).ok_or(LockboxError::Fingerprint)?,
        })
    }

    /// The node with its properties in their on-disk order.
    #[must_use]
    pub fn to_node(&self) -> Node {
        let mut named = Node::new(FINGERPRINT);
        named.properties =
            [Property::new("hash", self.fingerprint), Property::text("algorithm", FINGERPRINT_ALGORITHM)].into();
        Node {
            name: alloc::format!("{}", self.name),
            properties: [
                Property::new("encrypted-symkey", self.encrypted_symkey.as_slice()),
                Property::text("untrusted-comment", &self.untrusted_comment),
            ]
            .into(),
            children: [named].into(),
        }
    }
}

/// Refuses a node with other properties than these.
fn only(node: &Node, names: &[&str]) -> Result<(), LockboxError> {
    match node.properties.iter().find(|property| !names.contains(&property.name.as_str())) {
        Some(other) => Err(LockboxError::Unknown(other.name.clone())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Lockbox, LockboxError, LockboxName, Property};
    use crate::owner::keys::{KeyError, PrivateKey, PublicKey};
    use crate::owner::samples::{MACHINE1, MACHINE1_PUB, MACHINE2, rng};
    use crate::owner::sealed::{CommentError, MasterKey};

    #[test]
    fn names() {
        for (text, name) in [
            ("origin-lockbox", Some(LockboxName::Origin)),
            ("lockbox-1", Some(LockboxName::Number(1))),
            ("lockbox-4294967295", Some(LockboxName::Number(u32::MAX))),
            ("lockbox-4294967296", None),
            ("lockbox-0", None),
            ("lockbox-00", None),
            ("lockbox--1", None),
            ("lockbox-1-1", None),
            ("lockbox-x", None),
            ("lockbox-", None),
            ("lockbox", None),
        ] {
            assert_eq!(LockboxName::parse(text), name, "{text}");
            assert!(name.is_none_or(|name| alloc::format!("{name}") == text));
        }
        assert_eq!(["lockbox-01", "lockbox-+1"].map(LockboxName::parse), [Some(LockboxName::FIRST); 2]);
    }

    #[test]
    fn opens_with_its_key_and_round_trips() {
        let mut rng = rng(1);
        let master = MasterKey::generate(&mut rng);
        let public = PublicKey::from_pem(MACHINE1_PUB).unwrap();
        let lockbox = Lockbox::seal(LockboxName::FIRST, &master, &public, "m", &mut rng).unwrap();
        assert_eq!(Lockbox::from_node(&lockbox.to_node()).unwrap(), lockbox);
        assert!(lockbox.is_for(&public));
        let open = |pem: &[u8]| lockbox.open(&PrivateKey::from_pem(pem, None).unwrap());
        assert_eq!(open(MACHINE1), Ok(master.clone()));
        assert_eq!(open(MACHINE2), Err(LockboxError::Key(KeyError::Unwrap)));
        let short = Lockbox { encrypted_symkey: public.wrap(&[1; 31], &mut rng).unwrap(), ..lockbox };
        assert_eq!(short.open(&PrivateKey::from_pem(MACHINE1, None).unwrap()), Err(LockboxError::MasterKeyLength(31)));
        let refused = Lockbox::seal(LockboxName::FIRST, &master, &public, "a\nb", &mut rng);
        assert_eq!(refused, Err(LockboxError::Comment(CommentError)));
    }

    #[test]
    fn malformed_nodes_are_refused() {
        let mut rng = rng(2);
        let public = PublicKey::from_pem(MACHINE1_PUB).unwrap();
        let master = MasterKey::generate(&mut rng);
        let good = Lockbox::seal(LockboxName::Origin, &master, &public, "", &mut rng).unwrap().to_node();
        let check = |change: fn(&mut super::Node), error| {
            let mut node = good.clone();
            change(&mut node);
            assert_eq!(Lockbox::from_node(&node), Err(error));
        };
        check(|node| node.name = "lockbox-x".into(), LockboxError::Name("lockbox-x".into()));
        check(|node| node.properties.clear(), LockboxError::Property("encrypted-symkey"));
        check(|node| drop(node.properties.pop()), LockboxError::Property("untrusted-comment"));
        check(|node| node.set(Property::text("note", "x")), LockboxError::Unknown("note".into()));
        check(|node| node.children[0].set(Property::text("note", "x")), LockboxError::Unknown("note".into()));
        check(|node| node.children.push(super::Node::new("note")), LockboxError::Unknown("note".into()));
        check(|node| node.children.clear(), LockboxError::Property("pubkey-fingerprint"));
        check(|node| node.children[0].set(Property::new("hash", [0; 31])), LockboxError::Fingerprint);
        check(|node| node.children[0].set(Property::text("algorithm", "SHA1")), LockboxError::Fingerprint);
        check(|node| node.set(Property::new("untrusted-comment", *b"x")), LockboxError::Property("untrusted-comment"));
    }
}
