//! Private keys of elliptic curves as retrievable secrets.

use der::Decode;
use der::asn1::{ObjectIdentifier, OctetStringRef};
use p521::pkcs8::{DecodePrivateKey, PrivateKeyInfoRef};
use zeroize::Zeroizing;

use super::value::GuestSecret;
use crate::abi::secret::SecretId;
use crate::abi::secret::SecretType;
use crate::owner::crypto::{KeyError, pem};

const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const ED448: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.113");

/// Takes the first of the curves that a decoder accepts.
macro_rules! scalar {
    ($document:expr, $id:expr, $decode:ident) => {{
        let found = None
            .or_else(|| {
                p256::SecretKey::$decode($document).ok().map(|key| (SecretType::EC_SECP256R1, bytes(&key.to_bytes())))
            })
            .or_else(|| {
                p384::SecretKey::$decode($document).ok().map(|key| (SecretType::EC_SECP384R1, bytes(&key.to_bytes())))
            })
            .or_else(|| {
                p521::SecretKey::$decode($document).ok().map(|key| (SecretType::EC_SECP521R1, bytes(&key.to_bytes())))
            });
        found.and_then(|(kind, scalar)| GuestSecret::key(kind, $id, &scalar).ok())
    }};
}

fn bytes(scalar: &[u8]) -> Zeroizing<alloc::vec::Vec<u8>> {
    Zeroizing::new(scalar.to_vec())
}

impl GuestSecret {
    /// A private key as a retrievable secret: NIST P-256, P-384, P-521, Ed25519 or Ed448, in PKCS#8 or (NIST curves) SEC1, PEM or
    /// DER.
    ///
    /// # Errors
    /// [`KeyError::Pem`], [`KeyError::Der`]; [`KeyError::Curve`] for a key of another kind.
    pub fn ec_private_key(id: SecretId, document: &[u8]) -> Result<Self, KeyError> {
        if !pem::is_pem(document) {
            return from_pkcs8(id, document).or_else(|error| scalar!(document, id, from_sec1_der).ok_or(error));
        }
        let (label, content) = pem::first_block(document, &["PRIVATE KEY", "EC PRIVATE KEY"])?;
        match label.as_str() {
            "EC PRIVATE KEY" => scalar!(&content, id, from_sec1_der).ok_or(KeyError::Curve),
            _ => from_pkcs8(id, &content),
        }
    }
}

fn from_pkcs8(id: SecretId, document: &[u8]) -> Result<GuestSecret, KeyError> {
    let info = PrivateKeyInfoRef::try_from(document).map_err(|_| KeyError::Der)?;
    let kind = match info.algorithm.oid {
        ED25519 => SecretType::EC_ED25519,
        ED448 => SecretType::EC_ED448,
        _ => return scalar!(document, id, from_pkcs8_der).ok_or(KeyError::Curve),
    };
    let raw = <&OctetStringRef>::from_der(info.private_key.as_bytes()).map_err(|_| KeyError::Der)?;
    GuestSecret::key(kind, id, raw.as_bytes()).map_err(|_| KeyError::Der)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_all_curves() {
        let id = SecretId::of_name("key");
        let inputs: [(&[u8], SecretType); 5] = [
            (include_bytes!("../../../tests/fixtures/pvsecret/inputs/ec-prime256v1.pem"), SecretType::EC_SECP256R1),
            (include_bytes!("../../../tests/fixtures/pvsecret/inputs/ec-secp384r1.pem"), SecretType::EC_SECP384R1),
            (include_bytes!("../../../tests/fixtures/pvsecret/inputs/ec-secp521r1.pem"), SecretType::EC_SECP521R1),
            (include_bytes!("../../../tests/fixtures/pvsecret/inputs/ed25519.pem"), SecretType::EC_ED25519),
            (include_bytes!("../../../tests/fixtures/pvsecret/inputs/ed448.pem"), SecretType::EC_ED448),
        ];
        for (document, kind) in inputs {
            let secret = GuestSecret::ec_private_key(id, document).unwrap();
            assert_eq!((secret.kind(), Some(secret.expose().len())), (kind, kind.fixed_length()));
        }
        let (_, der) = pem::first_block(inputs[1].0, &["PRIVATE KEY", "EC PRIVATE KEY"]).unwrap();
        let from_der = GuestSecret::ec_private_key(id, &der).unwrap();
        assert_eq!(from_der, GuestSecret::ec_private_key(id, inputs[1].0).unwrap());
    }

    #[test]
    fn other_keys_are_refused() {
        let id = SecretId::default();
        let rsa = include_bytes!("../../../tests/fixtures/keys/sign-rsa2048.pem");
        assert_eq!(GuestSecret::ec_private_key(id, rsa).unwrap_err(), KeyError::Curve);
        assert_eq!(GuestSecret::ec_private_key(id, b"noise").unwrap_err(), KeyError::Der);
        assert_eq!(GuestSecret::ec_private_key(id, b"-----BEGIN NOTHING-----").unwrap_err(), KeyError::Pem);
    }
}
