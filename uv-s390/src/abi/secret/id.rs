//! Names of secrets.

use core::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Id of a secret, 32 bytes.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(transparent)]
pub struct SecretId(pub [u8; 32]);

impl SecretId {
    /// The name itself as id: its first 31 bytes, then zeros.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        let mut id = Self::default();
        for (to, from) in id.0[..31].iter_mut().zip(name.bytes()) {
            *to = from;
        }
        id
    }
}

impl fmt::Display for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl fmt::Debug for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_names() {
        assert_eq!(SecretId::from_name("abc").0[..5], *b"abc\0\0");
        let long = SecretId::from_name("0123456789012345678901234567890123456789");
        assert_eq!(long.0, *b"0123456789012345678901234567890\0");
    }
}
