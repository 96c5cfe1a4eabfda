//! Keys that sign the user data of a request, and keys that verify it.
//!
//! Hash is SHA-512; EC signatures are ECDSA in DER; RSA signatures are PSS with MGF1-SHA-512 and the longest salt
//! (a verifier takes a salt of any length).

use alloc::vec::Vec;
use core::fmt;

use der::{Decode, Encode};
use p521::pkcs8::{DecodePrivateKey, DecodePublicKey};
use rand_core::CryptoRng;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pss;
use rsa::signature::{RandomizedSigner, SignatureEncoding, Signer, Verifier};
use rsa::traits::PublicKeyParts;
use sha2::Sha512;
use thiserror::Error;
use x509_cert::Certificate;

use super::user_data::UserDataKind;
use crate::owner::crypto::pem;

/// Signing or verifying user data failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The key is damaged, or none of EC P-521, RSA-2048, RSA-3072.
    #[error("not a usable EC P-521, RSA-2048 or RSA-3072 key")]
    Key,
    /// The request carries no signed user data.
    #[error("the user data of the request is not signed")]
    NotSigned,
    /// The signature was made with another kind of key.
    #[error("the signature is of another kind than the key")]
    KeyKind,
    /// The signature does not fit the request.
    #[error("the signature does not fit the request")]
    Mismatch,
    /// The signature could not be made.
    #[error("the user data cannot be signed")]
    Sign,
}

/// Kind of signature an RSA key of this many bytes makes, and the length of the longest salt in bytes.
fn rsa_kind(size: usize) -> Result<(UserDataKind, usize), SignatureError> {
    const HASH: usize = 64;
    let kind = match size {
        256 => UserDataKind::SIGNED_RSA_2048,
        384 => UserDataKind::SIGNED_RSA_3072,
        _ => return Err(SignatureError::Key),
    };
    Ok((kind, size - HASH - 2))
}

enum Private {
    Ec(p521::ecdsa::SigningKey),
    Rsa(pss::SigningKey<Sha512>, UserDataKind),
}

/// Private key that signs user data: EC P-521, RSA-2048 or RSA-3072.
pub struct UserDataSigner(Private);

impl UserDataSigner {
    /// Reads the first private key in PEM text: PKCS#8, SEC1 or PKCS#1.
    ///
    /// # Errors
    /// [`SignatureError::Key`].
    pub fn from_pem(text: &str) -> Result<Self, SignatureError> {
        let labels = ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"];
        let (label, content) = pem::first_block(text.as_bytes(), &labels).map_err(|_| SignatureError::Key)?;
        let ec = match label.as_str() {
            "EC PRIVATE KEY" => p521::SecretKey::from_sec1_der(&content).ok(),
            _ => p521::SecretKey::from_pkcs8_der(&content).ok(),
        };
        if let Some(key) = ec {
            return Ok(Self(Private::Ec(key.into())));
        }
        let key = match label.as_str() {
            "RSA PRIVATE KEY" => rsa::RsaPrivateKey::from_pkcs1_der(&content).ok(),
            _ => rsa::RsaPrivateKey::from_pkcs8_der(&content).ok(),
        }
        .ok_or(SignatureError::Key)?;
        let (kind, salt) = rsa_kind(key.size())?;
        Ok(Self(Private::Rsa(pss::SigningKey::new_with_salt_len(key, salt), kind)))
    }

    /// Kind of user data this key makes.
    #[must_use]
    pub const fn kind(&self) -> UserDataKind {
        match self.0 {
            Private::Ec(_) => UserDataKind::SIGNED_EC_P521,
            Private::Rsa(_, kind) => kind,
        }
    }

    /// The public half.
    #[must_use]
    pub fn verifier(&self) -> UserDataVerifier {
        UserDataVerifier(match &self.0 {
            Private::Ec(key) => Public::Ec(*key.verifying_key()),
            Private::Rsa(key, kind) => {
                let private: &rsa::RsaPrivateKey = key.as_ref();
                Public::Rsa(pss::VerifyingKey::new_with_auto_salt_len(private.to_public_key()), *kind)
            }
        })
    }

    pub(super) fn sign<R: CryptoRng>(&self, message: &[u8], rng: &mut R) -> Result<Vec<u8>, SignatureError> {
        match &self.0 {
            Private::Ec(key) => {
                let signature: p521::ecdsa::Signature = key.try_sign(message).map_err(|_| SignatureError::Sign)?;
                Ok(signature.to_der().as_bytes().to_vec())
            }
            Private::Rsa(key, _) => {
                let signature = key.try_sign_with_rng(rng, message).map_err(|_| SignatureError::Sign)?;
                Ok(signature.to_vec())
            }
        }
    }
}

impl fmt::Debug for UserDataSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserDataSigner({:?})", self.kind())
    }
}

#[derive(Clone)]
enum Public {
    Ec(p521::ecdsa::VerifyingKey),
    Rsa(pss::VerifyingKey<Sha512>, UserDataKind),
}

/// Public key that verifies signed user data.
#[derive(Clone)]
pub struct UserDataVerifier(Public);

impl UserDataVerifier {
    /// Reads a certificate (PEM or DER; nothing of it is checked) or a PEM public key.
    ///
    /// # Errors
    /// [`SignatureError::Key`].
    pub fn from_document(document: &[u8]) -> Result<Self, SignatureError> {
        if !pem::is_pem(document) {
            return Self::from_certificate_der(document);
        }
        let labels = ["CERTIFICATE", "PUBLIC KEY"];
        let (label, content) = pem::first_block(document, &labels).map_err(|_| SignatureError::Key)?;
        match label.as_str() {
            "CERTIFICATE" => Self::from_certificate_der(&content),
            _ => Self::from_spki_der(&content),
        }
    }

    /// Reads a DER SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// [`SignatureError::Key`].
    pub fn from_spki_der(document: &[u8]) -> Result<Self, SignatureError> {
        if let Ok(key) = p521::PublicKey::from_public_key_der(document) {
            return Ok(Self(Public::Ec(key.into())));
        }
        let key = rsa::RsaPublicKey::from_public_key_der(document).map_err(|_| SignatureError::Key)?;
        let (kind, _) = rsa_kind(key.size())?;
        Ok(Self(Public::Rsa(pss::VerifyingKey::new_with_auto_salt_len(key), kind)))
    }

    fn from_certificate_der(document: &[u8]) -> Result<Self, SignatureError> {
        let certificate = Certificate::from_der(document).map_err(|_| SignatureError::Key)?;
        let spki = certificate.tbs_certificate().subject_public_key_info().to_der();
        Self::from_spki_der(&spki.map_err(|_| SignatureError::Key)?)
    }

    /// Kind of user data this key verifies.
    #[must_use]
    pub const fn kind(&self) -> UserDataKind {
        match self.0 {
            Public::Ec(_) => UserDataKind::SIGNED_EC_P521,
            Public::Rsa(_, kind) => kind,
        }
    }

    pub(super) fn verify(&self, kind: UserDataKind, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        if kind != self.kind() {
            return Err(SignatureError::KeyKind);
        }
        match &self.0 {
            Public::Ec(key) => {
                p521::ecdsa::Signature::from_der(signature).and_then(|signature| key.verify(message, &signature))
            }
            Public::Rsa(key, _) => {
                pss::Signature::try_from(signature).and_then(|signature| key.verify(message, &signature))
            }
        }
        .map_err(|_| SignatureError::Mismatch)
    }
}

impl fmt::Debug for UserDataVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserDataVerifier({:?})", self.kind())
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    /// Other tools may choose a shorter salt than ours.
    #[test]
    fn any_salt_length_is_taken() {
        let pem = include_str!("../../../tests/fixtures/keys/sign-rsa2048.pem");
        let private = rsa::RsaPrivateKey::from_pkcs8_pem(pem).unwrap();
        let verifier = UserDataSigner::from_pem(pem).unwrap().verifier();
        let mut rng = ChaCha20Rng::from_seed([3; 32]);
        for salt in [0, 20, 64, 190] {
            let key = pss::SigningKey::<Sha512>::new_with_salt_len(private.clone(), salt);
            let signature = key.sign_with_rng(&mut rng, b"message").to_vec();
            verifier.verify(UserDataKind::SIGNED_RSA_2048, b"message", &signature).unwrap();
            let error = verifier.verify(UserDataKind::SIGNED_RSA_2048, b"massage", &signature).unwrap_err();
            assert_eq!(error, SignatureError::Mismatch, "salt {salt}");
        }
    }
}
