//! Tests with certificate sets made here: throw-away keys, every certificate marked as simulated unless a test says
//! otherwise.

extern crate std;

mod algorithms;
mod chains;
mod documents;
mod files;
mod parsers;
mod simulation;
mod situations;

use alloc::vec::Vec;

use der::oid::AssociatedOid;
use p521::ecdsa::signature::{self, Keypair, RandomizedSigner, Signer};
use p521::elliptic_curve::Generate;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::digest::FixedOutputReset;
use sha2::{Digest, Sha256, Sha384, Sha512};
use x509_cert::ext::Extension;
use x509_cert::name::Name;
use x509_cert::spki::{AlgorithmIdentifierOwned, DynSignatureAlgorithmIdentifier, SubjectPublicKeyInfoOwned};

use super::test_pki::{CertificateDraft, CrlDraft, Role, authority_key, extensions};
use super::{ChainError, VerifyError};

/// 2026-11-21 00:00 UTC.
pub(super) const NOW: u64 = 1_795_219_200;
pub(super) const DAY: u64 = 86_400;
/// Validity of everything that does not test dates: 2024 to 2388.
pub(super) const BEGIN: u64 = 1_711_032_757;
pub(super) const END: u64 = 13_221_716_557;

/// An RSA-PSS signer with a fixed salt, so that tests repeat.
#[derive(Clone)]
pub(super) struct Pss<D: Digest>(pub(super) rsa::pss::SigningKey<D>);

impl<D: Digest + FixedOutputReset> Signer<rsa::pss::Signature> for Pss<D> {
    fn try_sign(&self, message: &[u8]) -> signature::Result<rsa::pss::Signature> {
        self.0.try_sign_with_rng(&mut ChaCha20Rng::seed_from_u64(0), message)
    }
}

impl<D: Digest + FixedOutputReset> Keypair for Pss<D> {
    type VerifyingKey = rsa::pss::VerifyingKey<D>;

    fn verifying_key(&self) -> Self::VerifyingKey {
        self.0.verifying_key()
    }
}

impl<D: Digest + AssociatedOid> DynSignatureAlgorithmIdentifier for Pss<D> {
    fn signature_algorithm_identifier(&self) -> x509_cert::spki::Result<AlgorithmIdentifierOwned> {
        self.0.signature_algorithm_identifier()
    }
}

/// A signer, which is at the same time the public key of a certificate.
#[derive(Clone)]
pub(super) enum Key {
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
    P521(p521::ecdsa::SigningKey),
    Rsa256(rsa::pkcs1v15::SigningKey<Sha256>),
    Rsa384(rsa::pkcs1v15::SigningKey<Sha384>),
    Rsa512(rsa::pkcs1v15::SigningKey<Sha512>),
    Pss256(Pss<Sha256>),
    Pss384(Pss<Sha384>),
    Pss512(Pss<Sha512>),
}

macro_rules! with_key {
    ($key:expr, |$signer:ident, $signature:ident| $body:expr) => {
        match $key {
            Key::P256($signer) => {
                type $signature = p256::ecdsa::DerSignature;
                $body
            }
            Key::P384($signer) => {
                type $signature = p384::ecdsa::DerSignature;
                $body
            }
            Key::P521($signer) => {
                type $signature = p521::ecdsa::DerSignature;
                $body
            }
            Key::Rsa256($signer) => {
                type $signature = rsa::pkcs1v15::Signature;
                $body
            }
            Key::Rsa384($signer) => {
                type $signature = rsa::pkcs1v15::Signature;
                $body
            }
            Key::Rsa512($signer) => {
                type $signature = rsa::pkcs1v15::Signature;
                $body
            }
            Key::Pss256($signer) => {
                type $signature = rsa::pss::Signature;
                $body
            }
            Key::Pss384($signer) => {
                type $signature = rsa::pss::Signature;
                $body
            }
            Key::Pss512($signer) => {
                type $signature = rsa::pss::Signature;
                $body
            }
        }
    };
}

impl Key {
    pub(super) fn p256(seed: u64) -> Self {
        Self::P256(p256::ecdsa::SigningKey::generate_from_rng(&mut ChaCha20Rng::seed_from_u64(seed)))
    }

    pub(super) fn p384(seed: u64) -> Self {
        Self::P384(p384::ecdsa::SigningKey::generate_from_rng(&mut ChaCha20Rng::seed_from_u64(seed)))
    }

    pub(super) fn p521(seed: u64) -> Self {
        Self::P521(p521::ecdsa::SigningKey::generate_from_rng(&mut ChaCha20Rng::seed_from_u64(seed)))
    }

    pub(super) fn spki(&self) -> SubjectPublicKeyInfoOwned {
        with_key!(self, |signer, _S| SubjectPublicKeyInfoOwned::from_key(&Keypair::verifying_key(signer)).unwrap())
    }

    pub(super) fn sign(&self, draft: CertificateDraft) -> Vec<u8> {
        with_key!(self, |signer, S| draft.sign::<_, S>(signer).unwrap())
    }

    pub(super) fn sign_crl(&self, draft: CrlDraft) -> Vec<u8> {
        with_key!(self, |signer, S| draft.sign::<_, S>(signer).unwrap())
    }
}

/// A name and its key.
#[derive(Clone)]
pub(super) struct Party {
    pub(super) name: Name,
    pub(super) key: Key,
}

impl Party {
    /// A certificate for `subject`, valid, to be changed by the test before [`Key::sign`].
    pub(super) fn draft(&self, role: Role, subject: &Party, serial: u64) -> CertificateDraft {
        CertificateDraft {
            subject: subject.name.clone(),
            issuer: self.name.clone(),
            serial,
            not_before: BEGIN,
            not_after: END,
            extensions: extensions(role, &subject.key.spki(), &self.key.spki()).unwrap(),
            spki: subject.key.spki(),
        }
    }

    pub(super) fn issue(&self, role: Role, subject: &Party, serial: u64) -> Vec<u8> {
        self.key.sign(self.draft(role, subject, serial))
    }

    /// A current list with these serial numbers.
    pub(super) fn crl_draft(&self, revoked: &[u64]) -> CrlDraft {
        let bytes = |serial: &u64| serial.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
        CrlDraft {
            issuer: self.name.clone(),
            this_update: BEGIN,
            next_update: Some(END),
            revoked: revoked.iter().map(bytes).collect(),
            extensions: alloc::vec![authority_key(&self.key.spki()).unwrap()],
        }
    }

    pub(super) fn crl(&self, revoked: &[u64]) -> Vec<u8> {
        self.key.sign_crl(self.crl_draft(revoked))
    }
}

/// Takes the extension with this id out of a list of extensions.
pub(super) fn without(extensions: &mut Vec<Extension>, id: der::oid::ObjectIdentifier) -> Extension {
    let at = extensions.iter().position(|extension| extension.extn_id == id).unwrap();
    extensions.remove(at)
}

pub(super) fn at<T>(level: usize, reason: ChainError) -> Result<T, VerifyError> {
    Err(VerifyError::SigningKey { level, reason })
}
