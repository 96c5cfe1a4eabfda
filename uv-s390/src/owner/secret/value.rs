//! A secret with its type and id, in the encoding of the request.

use alloc::vec::Vec;
use core::fmt;

use thiserror::Error;
use zeroize::Zeroizing;

use super::plaintext::encode_plaintext;
use crate::abi::secret::SecretId;
use crate::abi::secret::SecretType;
use crate::owner::crypto::{BadLength, Cck};

/// A value does not fit its type of secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a secret of type {kind} cannot have {actual} bytes")]
pub struct SecretLength {
    /// The type.
    pub kind: SecretType,
    /// Bytes of the value.
    pub actual: usize,
}

/// One secret, encoded as requests carry it (s390-formats §9.3). Its `Debug` does not show the value.
#[derive(Clone, PartialEq, Eq)]
pub struct GuestSecret {
    kind: SecretType,
    id: SecretId,
    value: Zeroizing<Vec<u8>>,
}

impl GuestSecret {
    /// The null ("meta") secret: no id, no value.
    #[must_use]
    pub fn null() -> Self {
        Self { kind: SecretType::NULL, id: SecretId::default(), value: Zeroizing::default() }
    }

    /// An association secret.
    #[must_use]
    pub fn association(id: SecretId, value: &[u8; 32]) -> Self {
        Self { kind: SecretType::ASSOCIATION, id, value: Zeroizing::new(value.to_vec()) }
    }

    /// A plaintext secret; its length goes in front, it is filled up to a multiple of 16 bytes.
    ///
    /// # Errors
    /// [`BadLength`] for more than 8190 bytes.
    pub fn plaintext(id: SecretId, content: &[u8]) -> Result<Self, BadLength> {
        Ok(Self { kind: SecretType::PLAINTEXT, id, value: encode_plaintext(content)? })
    }

    /// A new customer communication key.
    #[must_use]
    pub fn update_cck(cck: &Cck) -> Self {
        Self { kind: SecretType::UPDATE_CCK, id: SecretId::default(), value: Zeroizing::new(cck.expose().to_vec()) }
    }

    /// A retrievable key: raw key bytes; for EC keys the big-endian private scalar, for Edwards curves the raw private key.
    /// EC secp521r1 and Ed448 keys are left-padded with zeros to the length of the encoding.
    ///
    /// # Errors
    /// [`SecretLength`] if the type is not a retrievable key, or the key has another length than the type demands.
    pub fn key(kind: SecretType, id: SecretId, raw: &[u8]) -> Result<Self, SecretLength> {
        let wrong = SecretLength { kind, actual: raw.len() };
        let fixed = kind.fixed_length().filter(|_| kind.is_retrievable()).ok_or(wrong)?;
        let padded = match kind {
            SecretType::EC_SECP521R1 => (66..=fixed).contains(&raw.len()),
            SecretType::EC_ED448 => raw.len() == 57,
            _ => false,
        };
        if raw.len() != fixed && !padded {
            return Err(wrong);
        }
        let mut value = Zeroizing::new(Vec::with_capacity(fixed));
        value.resize(fixed - raw.len(), 0);
        value.extend_from_slice(raw);
        Ok(Self { kind, id, value })
    }

    /// A secret as found in a request.
    ///
    /// # Errors
    /// [`SecretLength`] if the type cannot have this length.
    pub(super) fn from_encoded(
        kind: SecretType,
        id: SecretId,
        value: Zeroizing<Vec<u8>>,
    ) -> Result<Self, SecretLength> {
        if !kind.allows_length(value.len()) {
            return Err(SecretLength { kind, actual: value.len() });
        }
        Ok(Self { kind, id, value })
    }

    /// Type of the secret.
    #[must_use]
    pub const fn kind(&self) -> SecretType {
        self.kind
    }

    /// Its id; zeros for the null secret and for update-CCK.
    #[must_use]
    pub const fn id(&self) -> SecretId {
        self.id
    }

    /// The value in the encoding of the request. Named so that every use can be found.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.value
    }
}

impl fmt::Debug for GuestSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GuestSecret({}, {}, {} bytes)", self.kind, self.id, self.value.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_padded_on_the_left() {
        let id = SecretId::of_name("key");
        let p521 = GuestSecret::key(SecretType::EC_SECP521R1, id, &[1; 66]).unwrap();
        assert_eq!((p521.expose().len(), p521.expose()[13], p521.expose()[14]), (80, 0, 1));
        let ed448 = GuestSecret::key(SecretType::EC_ED448, id, &[1; 57]).unwrap();
        assert_eq!((ed448.expose().len(), ed448.expose()[6], ed448.expose()[7]), (64, 0, 1));
        assert_eq!(GuestSecret::key(SecretType::AES_256, id, &[1; 32]).unwrap().expose(), [1; 32]);
    }

    #[test]
    fn wrong_lengths_and_types() {
        let id = SecretId::default();
        for (kind, length) in [
            (SecretType::AES_128, 15),
            (SecretType::AES_192, 32),
            (SecretType::EC_SECP521R1, 65),
            (SecretType::EC_SECP521R1, 81),
            (SecretType::EC_ED448, 58),
            (SecretType::ASSOCIATION, 32),
            (SecretType::PLAINTEXT, 32),
            (SecretType::UPDATE_CCK, 32),
            (SecretType(0x0b), 32),
        ] {
            let error = GuestSecret::key(kind, id, &alloc::vec![0; length]).unwrap_err();
            assert_eq!(error, SecretLength { kind, actual: length });
        }
    }

    #[test]
    fn debug_never_prints_the_value() {
        let secret = GuestSecret::association(SecretId::default(), &[0xab; 32]);
        assert!(!alloc::format!("{secret:?}").contains("ab"));
    }
}
