//! Signature algorithms: what is supported verifies, everything else is named.

use std::sync::LazyLock;

use der::asn1::{Any, BitString, Uint};
use der::oid::ObjectIdentifier;
use der::oid::db::rfc5912;
use der::referenced::OwnedToRef;
use der::{Decode, Encode};
use rsa::RsaPrivateKey;

use p521::ecdsa::signature::SignatureEncoding;

use super::super::signature::PublicKey;
use super::super::{CertificateKeyError, SignatureError};
use super::chains::{parties, run_with};
use super::*;

static RSA_2048: LazyLock<RsaPrivateKey> =
    LazyLock::new(|| RsaPrivateKey::new(&mut ChaCha20Rng::seed_from_u64(2048), 2048).unwrap());

fn rsa_keys() -> [Key; 6] {
    let key = || RSA_2048.clone();
    [
        Key::Rsa256(rsa::pkcs1v15::SigningKey::new(key())),
        Key::Rsa384(rsa::pkcs1v15::SigningKey::new(key())),
        Key::Rsa512(rsa::pkcs1v15::SigningKey::new(key())),
        Key::Pss256(Pss(rsa::pss::SigningKey::new(key()))),
        Key::Pss384(Pss(rsa::pss::SigningKey::new(key()))),
        Key::Pss512(Pss(rsa::pss::SigningKey::new_with_salt_len(key(), 20))),
    ]
}

/// The public key of a 1024-bit RSA modulus.
pub(super) fn short_rsa_spki() -> SubjectPublicKeyInfoOwned {
    let modulus = [&[0x80][..], &[0x55; 127]].concat();
    let key = rsa::pkcs1::RsaPublicKeyOwned {
        modulus: Uint::new(&modulus).unwrap(),
        public_exponent: Uint::new(&[1, 0, 1]).unwrap(),
    };
    SubjectPublicKeyInfoOwned {
        algorithm: AlgorithmIdentifierOwned { oid: rfc5912::RSA_ENCRYPTION, parameters: Some(Any::null()) },
        subject_public_key: BitString::from_bytes(&key.to_der().unwrap()).unwrap(),
    }
}

fn public(key: &Key) -> PublicKey {
    PublicKey::from_spki(&key.spki()).unwrap()
}

#[test]
fn chains_of_every_algorithm() {
    let keys = [Key::p256(30), Key::p384(30), Key::p521(30)].into_iter().chain(rsa_keys());
    for key in keys {
        let mut parties = parties(0);
        parties[1].key = key;
        assert_eq!(run_with(&parties, &|_, _| (), &|_, _| ()), Ok(()));
    }
}

#[test]
fn every_hash_with_every_curve() {
    use p521::ecdsa::signature::hazmat::PrehashSigner;
    let message = b"what was signed";
    let hashes: [(ObjectIdentifier, Vec<u8>); 3] = [
        (rfc5912::ECDSA_WITH_SHA_256, Sha256::digest(message).to_vec()),
        (rfc5912::ECDSA_WITH_SHA_384, Sha384::digest(message).to_vec()),
        (rfc5912::ECDSA_WITH_SHA_512, Sha512::digest(message).to_vec()),
    ];
    for (oid, digest) in &hashes {
        let algorithm = AlgorithmIdentifierOwned { oid: *oid, parameters: None };
        for key in [Key::p256(31), Key::p384(31), Key::p521(31)] {
            let mut signature = match &key {
                Key::P256(signer) => PrehashSigner::<p256::ecdsa::DerSignature>::sign_prehash(signer, digest)
                    .unwrap()
                    .as_bytes()
                    .to_vec(),
                Key::P384(signer) => PrehashSigner::<p384::ecdsa::DerSignature>::sign_prehash(signer, digest)
                    .unwrap()
                    .as_bytes()
                    .to_vec(),
                Key::P521(signer) => PrehashSigner::<p521::ecdsa::DerSignature>::sign_prehash(signer, digest)
                    .unwrap()
                    .as_bytes()
                    .to_vec(),
                _ => unreachable!("only curves here"),
            };
            let key = public(&key);
            assert_eq!(key.verify(&algorithm, message, &signature), Ok(()));
            assert_eq!(key.verify(&algorithm, b"else", &signature), Err(SignatureError::Invalid));
            *signature.last_mut().unwrap() ^= 1;
            assert_eq!(key.verify(&algorithm, message, &signature), Err(SignatureError::Invalid));
            assert_eq!(key.verify(&algorithm, message, &[]), Err(SignatureError::Invalid));
        }
    }
}

#[test]
fn keys_and_algorithms_go_together() {
    let certificate = |key: &Key| {
        let party = Party { key: key.clone(), ..parties(0)[1].clone() };
        x509_cert::Certificate::from_der(&party.issue(Role::Authority, &party, 1)).unwrap()
    };
    let [rsa, .., pss] = rsa_keys();
    let rsa_algorithm = certificate(&rsa).signature_algorithm().clone();
    let pss_algorithm = certificate(&pss).signature_algorithm().clone();
    let ecdsa_algorithm = certificate(&Key::p256(1)).signature_algorithm().clone();
    assert_eq!(public(&rsa).verify(&ecdsa_algorithm, b"", b""), Err(SignatureError::WrongKeyType));
    assert_eq!(public(&Key::p256(1)).verify(&rsa_algorithm, b"", b""), Err(SignatureError::WrongKeyType));
    assert_eq!(public(&rsa).verify(&rsa_algorithm, b"", &[0; 256]), Err(SignatureError::Invalid));
    assert_eq!(public(&rsa).verify(&pss_algorithm, b"", &[7; 256]), Err(SignatureError::Invalid));
    assert_eq!(public(&rsa).verify(&pss_algorithm, b"", &[7; 3]), Err(SignatureError::Invalid));
    let with_parameters = AlgorithmIdentifierOwned { parameters: Some(Any::null()), ..ecdsa_algorithm };
    let parameters = SignatureError::Parameters(with_parameters.oid);
    assert_eq!(public(&Key::p256(1)).verify(&with_parameters, b"", b""), Err(parameters));
    let without = AlgorithmIdentifierOwned { parameters: None, ..pss_algorithm };
    assert_eq!(public(&rsa).verify(&without, b"", b""), Err(SignatureError::Parameters(without.oid)));
}

#[test]
fn salts_of_more_than_255_bytes() {
    let key = RsaPrivateKey::new(&mut ChaCha20Rng::seed_from_u64(3072), 3072).unwrap();
    let signer = |salt| Pss::<Sha256>(rsa::pss::SigningKey::new_with_salt_len(key.clone(), salt));
    // The identifier that the signer writes has one byte for the length. Its last element is [2] EXPLICIT INTEGER, and
    // 200 takes two bytes of content there: they are replaced.
    let written = signer(200).signature_algorithm_identifier().unwrap();
    let der = written.parameters.as_ref().unwrap().to_der().unwrap();
    assert_eq!(der[der.len() - 6..], [0xa2, 4, 2, 2, 0, 200]);
    let algorithm = |salt: u16| {
        let der = [&der[..der.len() - 2], &salt.to_be_bytes()].concat();
        AlgorithmIdentifierOwned { oid: written.oid, parameters: Some(Any::from_der(&der).unwrap()) }
    };
    let message = b"what was signed";
    let public = public(&Key::Pss256(signer(20)));
    // The longest salt: 384 bytes of the modulus less 32 of the digest less 2.
    let signature = signer(350).try_sign(message).unwrap().to_bytes();
    assert_eq!(public.verify(&algorithm(350), message, &signature), Ok(()));
    for other in [349, 351, 200, u16::MAX / 2] {
        assert_eq!(public.verify(&algorithm(other), message, &signature), Err(SignatureError::Invalid));
    }
}

#[test]
fn weak_and_unknown_algorithms() {
    let key = public(&Key::p256(1));
    let verify = |oid: &str| {
        let oid = ObjectIdentifier::new(oid).unwrap();
        (oid, key.verify(&AlgorithmIdentifierOwned { oid, parameters: None }, b"", b""))
    };
    // MD5 and SHA-1 with RSA, SHA-1 with ECDSA.
    for weak in ["1.2.840.113549.1.1.4", "1.2.840.113549.1.1.5", "1.2.840.10045.4.1"] {
        let (oid, result) = verify(weak);
        assert_eq!(result, Err(SignatureError::WeakAlgorithm(oid)));
    }
    let (ed25519, result) = verify("1.3.101.112");
    assert_eq!(result, Err(SignatureError::UnsupportedAlgorithm(ed25519)));
    // PSS whose parameters are all defaults means SHA-1.
    let sha1 =
        AlgorithmIdentifierOwned { oid: rfc5912::ID_RSASSA_PSS, parameters: Some(Any::from_der(&[0x30, 0]).unwrap()) };
    assert_eq!(key.verify(&sha1, b"", b""), Err(SignatureError::WeakAlgorithm(sha1.oid)));
}

#[test]
fn public_keys_that_do_not_count() {
    let read = |spki: &SubjectPublicKeyInfoOwned| PublicKey::from_spki(spki).map(|_| ());
    assert_eq!(read(&short_rsa_spki()), Err(CertificateKeyError::Weak { bits: 1024 }));
    let mut even = short_rsa_spki();
    let key = rsa::pkcs1::RsaPublicKeyOwned {
        modulus: Uint::new(&[0x80; 256]).unwrap(),
        public_exponent: Uint::new(&[1, 0, 1]).unwrap(),
    };
    even.subject_public_key = BitString::from_bytes(&key.to_der().unwrap()).unwrap();
    assert_eq!(read(&even), Err(CertificateKeyError::Malformed));
    let mut off_curve = Key::p384(1).spki();
    let mut point = off_curve.subject_public_key.raw_bytes().to_vec();
    *point.last_mut().unwrap() ^= 1;
    off_curve.subject_public_key = BitString::from_bytes(&point).unwrap();
    assert_eq!(read(&off_curve), Err(CertificateKeyError::Malformed));
    let mut other_curve = Key::p256(1).spki();
    let secp224r1 = ObjectIdentifier::new_unwrap("1.3.132.0.33");
    other_curve.algorithm.parameters = Some(Any::encode_from(&secp224r1).unwrap());
    assert_eq!(read(&other_curve), Err(CertificateKeyError::Unsupported(secp224r1)));
    assert!(rsa_keys().iter().all(|key| read(&key.spki()).is_ok()));
    assert_eq!(Key::p256(1).spki().owned_to_ref().algorithm.oid, rfc5912::ID_EC_PUBLIC_KEY);
}
