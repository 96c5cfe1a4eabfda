//! Types of secrets, their names and lengths.

use core::fmt;

/// Most bytes a plaintext secret can have.
pub const MAX_PLAINTEXT: usize = 8190;

/// Type of a secret, as in the secret header and in the secret list (s390-formats §9.3). Unknown types survive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretType(pub u16);

impl SecretType {
    /// Null ("meta") secret: no content; carries only the request's flags and user data.
    pub const NULL: Self = Self(0x01);
    /// Association secret: stays inside the Ultravisor.
    pub const ASSOCIATION: Self = Self(0x02);
    /// Plaintext secret, up to 8190 bytes.
    pub const PLAINTEXT: Self = Self(0x03);
    /// AES-128 key.
    pub const AES_128: Self = Self(0x04);
    /// AES-192 key.
    pub const AES_192: Self = Self(0x05);
    /// AES-256 key.
    pub const AES_256: Self = Self(0x06);
    /// AES-XTS-128 key pair.
    pub const AES_XTS_128: Self = Self(0x07);
    /// AES-XTS-256 key pair.
    pub const AES_XTS_256: Self = Self(0x08);
    /// HMAC-SHA-256 key.
    pub const HMAC_SHA_256: Self = Self(0x09);
    /// HMAC-SHA-512 key.
    pub const HMAC_SHA_512: Self = Self(0x0a);
    /// Private key on secp256r1.
    pub const EC_SECP256R1: Self = Self(0x11);
    /// Private key on secp384r1.
    pub const EC_SECP384R1: Self = Self(0x12);
    /// Private key on secp521r1.
    pub const EC_SECP521R1: Self = Self(0x13);
    /// Ed25519 private key.
    pub const EC_ED25519: Self = Self(0x14);
    /// Ed448 private key.
    pub const EC_ED448: Self = Self(0x15);
    /// Replaces the customer communication key.
    pub const UPDATE_CCK: Self = Self(0x16);

    /// Can a guest get it back?
    #[must_use]
    pub const fn is_retrievable(self) -> bool {
        matches!(self.0, 0x03..=0x0a | 0x11..=0x15)
    }

    /// Does the secret list show it?
    #[must_use]
    pub const fn is_listed(self) -> bool {
        !matches!(self, Self::NULL | Self::UPDATE_CCK)
    }

    /// Is it one of the named types?
    #[must_use]
    pub const fn is_known(self) -> bool {
        matches!(self.0, 0x01..=0x0a | 0x11..=0x16)
    }

    /// Bytes of the secret header of this type: the null secret has no id.
    #[must_use]
    pub const fn header_size(self) -> usize {
        if matches!(self, Self::NULL) { 16 } else { 48 }
    }

    /// The one length in bytes a secret of this type has in a request. `None` for the plaintext secret, which has many,
    /// and for unknown types.
    #[must_use]
    pub const fn fixed_length(self) -> Option<usize> {
        Some(match self {
            Self::NULL => 0,
            Self::AES_128 => 16,
            Self::AES_192 => 24,
            Self::ASSOCIATION
            | Self::AES_256
            | Self::AES_XTS_128
            | Self::EC_SECP256R1
            | Self::EC_ED25519
            | Self::UPDATE_CCK => 32,
            Self::EC_SECP384R1 => 48,
            Self::AES_XTS_256 | Self::HMAC_SHA_256 | Self::EC_ED448 => 64,
            Self::EC_SECP521R1 => 80,
            Self::HMAC_SHA_512 => 128,
            _ => return None,
        })
    }

    /// Can a secret of this type have this many bytes in a request?
    #[must_use]
    pub const fn allows_length(self, length: usize) -> bool {
        match self.fixed_length() {
            Some(fixed) => fixed == length,
            None => {
                matches!(self, Self::PLAINTEXT)
                    && length >= 16
                    && length <= MAX_PLAINTEXT + 2
                    && length.is_multiple_of(16)
            }
        }
    }

    /// Name as tools write it.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::NULL => "NULL",
            Self::ASSOCIATION => "ASSOCIATION",
            Self::PLAINTEXT => "PLAINTEXT",
            Self::AES_128 => "AES-128-KEY",
            Self::AES_192 => "AES-192-KEY",
            Self::AES_256 => "AES-256-KEY",
            Self::AES_XTS_128 => "AES-XTS-128-KEY",
            Self::AES_XTS_256 => "AES-XTS-256-KEY",
            Self::HMAC_SHA_256 => "HMAC-SHA-256-KEY",
            Self::HMAC_SHA_512 => "HMAC-SHA-512-KEY",
            Self::EC_SECP256R1 => "EC-SECP256R1-PRIVATE-KEY",
            Self::EC_SECP384R1 => "EC-SECP384R1-PRIVATE-KEY",
            Self::EC_SECP521R1 => "EC-SECP521R1-PRIVATE-KEY",
            Self::EC_ED25519 => "EC-ED25519-PRIVATE-KEY",
            Self::EC_ED448 => "EC-ED448-PRIVATE-KEY",
            Self::UPDATE_CCK => "UPDATE-CCK",
            _ => return None,
        })
    }
}

impl fmt::Display for SecretType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "UNKNOWN-{:#x}", self.0),
        }
    }
}

impl fmt::Debug for SecretType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretType({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        let fixed = [
            (1, 0),
            (2, 32),
            (4, 16),
            (5, 24),
            (6, 32),
            (7, 32),
            (8, 64),
            (9, 64),
            (10, 128),
            (17, 32),
            (18, 48),
            (19, 80),
            (20, 32),
            (21, 64),
            (22, 32),
        ];
        for (kind, length) in fixed {
            let kind = SecretType(kind);
            assert!(kind.is_known() && kind.allows_length(length), "{kind}");
            assert!(!kind.allows_length(length + 1) && !kind.allows_length(length + 16), "{kind}");
        }
        for length in 0..9000 {
            let allowed = (16..=8192).contains(&length) && length % 16 == 0;
            assert_eq!(SecretType::PLAINTEXT.allows_length(length), allowed, "{length}");
        }
        for reserved in (11..17).chain([0, 23, 0xffff]) {
            let kind = SecretType(reserved);
            assert!(!kind.is_known() && !kind.allows_length(32) && kind.name().is_none());
        }
    }

    #[test]
    fn retrievable_types() {
        let retrievable: alloc::vec::Vec<u16> = (0..30).filter(|&kind| SecretType(kind).is_retrievable()).collect();
        assert_eq!(retrievable, [3, 4, 5, 6, 7, 8, 9, 10, 17, 18, 19, 20, 21]);
        assert!(!SecretType::NULL.is_listed() && !SecretType::UPDATE_CCK.is_listed());
        assert!(SecretType::ASSOCIATION.is_listed());
    }
}
