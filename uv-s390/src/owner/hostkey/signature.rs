//! Public keys of issuers and the signatures they make.
//!
//! RSA PKCS #1 v1.5, RSA-PSS and ECDSA on P-256, P-384, P-521, each with SHA-256, SHA-384 or SHA-512. Everything
//! weaker than security level 2 (112 bits, s390-formats §10 rule 4) is named as such and refused.

use der::asn1::Any;
use der::oid::ObjectIdentifier;
use der::oid::db::rfc5912;
use der::{Decode, Sequence};
use p521::ecdsa::signature::Verifier as _;
use p521::ecdsa::signature::hazmat::PrehashVerifier;
use rsa::{BoxedUint, RsaPublicKey, pkcs1v15, pss};
use sha2::{Digest, Sha256, Sha384, Sha512};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use super::error::{CertificateKeyError, SignatureError};

/// Smallest RSA modulus, in bits.
const MIN_RSA_BITS: usize = 2048;
/// Largest RSA modulus, in bits: the time of one check stays bounded.
const MAX_RSA_BITS: usize = 8192;

const MGF1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.8");
const MD4_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.3");
const ECDSA_WITH_SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.1");
const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");

/// A public key that may issue certificates and revocation lists.
pub(super) enum PublicKey {
    Rsa { key: RsaPublicKey, pss_only: bool },
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    P521(p521::ecdsa::VerifyingKey),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    fn from_oid(oid: ObjectIdentifier) -> Option<Self> {
        [(rfc5912::ID_SHA_256, Self::Sha256), (rfc5912::ID_SHA_384, Self::Sha384), (rfc5912::ID_SHA_512, Self::Sha512)]
            .into_iter()
            .find_map(|(id, hash)| (id == oid).then_some(hash))
    }
}

enum Algorithm {
    Pkcs1(Hash),
    Pss { hash: Hash, salt: usize },
    Ecdsa(Hash),
}

impl PublicKey {
    /// Reads the key of a certificate and holds it against security level 2.
    pub(super) fn from_spki(spki: &SubjectPublicKeyInfoOwned) -> Result<Self, CertificateKeyError> {
        let algorithm = &spki.algorithm;
        let bytes = spki.subject_public_key.as_bytes().ok_or(CertificateKeyError::Malformed)?;
        match algorithm.oid {
            rfc5912::RSA_ENCRYPTION | rfc5912::ID_RSASSA_PSS => {
                let pss_only = algorithm.oid == rfc5912::ID_RSASSA_PSS;
                // A PSS key may restrict its own parameters; such keys are rare and not supported.
                if pss_only && algorithm.parameters.is_some() {
                    return Err(CertificateKeyError::Unsupported(algorithm.oid));
                }
                Ok(Self::Rsa { key: rsa_key(bytes)?, pss_only })
            }
            rfc5912::ID_EC_PUBLIC_KEY => {
                let curve: ObjectIdentifier = algorithm
                    .parameters
                    .as_ref()
                    .and_then(|parameters| parameters.decode_as().ok())
                    .ok_or(CertificateKeyError::Malformed)?;
                match curve {
                    rfc5912::SECP_256_R_1 => p256::ecdsa::VerifyingKey::from_sec1_bytes(bytes)
                        .map(Self::P256)
                        .map_err(|_| CertificateKeyError::Malformed),
                    rfc5912::SECP_384_R_1 => p384::ecdsa::VerifyingKey::from_sec1_bytes(bytes)
                        .map(Self::P384)
                        .map_err(|_| CertificateKeyError::Malformed),
                    rfc5912::SECP_521_R_1 => p521::ecdsa::VerifyingKey::from_sec1_bytes(bytes)
                        .map(Self::P521)
                        .map_err(|_| CertificateKeyError::Malformed),
                    other => Err(CertificateKeyError::Unsupported(other)),
                }
            }
            other => Err(CertificateKeyError::Unsupported(other)),
        }
    }

    /// Checks that this key made `signature` over `message` by `algorithm`.
    pub(super) fn verify(
        &self,
        algorithm: &AlgorithmIdentifierOwned,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        let invalid = |_| SignatureError::Invalid;
        match (self, parse_algorithm(algorithm)?) {
            (Self::Rsa { key, pss_only: false }, Algorithm::Pkcs1(hash)) => {
                let signature = pkcs1v15::Signature::try_from(signature).map_err(invalid)?;
                let key = key.clone();
                match hash {
                    Hash::Sha256 => pkcs1v15::VerifyingKey::<Sha256>::new(key).verify(message, &signature),
                    Hash::Sha384 => pkcs1v15::VerifyingKey::<Sha384>::new(key).verify(message, &signature),
                    Hash::Sha512 => pkcs1v15::VerifyingKey::<Sha512>::new(key).verify(message, &signature),
                }
                .map_err(invalid)
            }
            (Self::Rsa { key, .. }, Algorithm::Pss { hash, salt }) => {
                let signature = pss::Signature::try_from(signature).map_err(invalid)?;
                let key = key.clone();
                match hash {
                    Hash::Sha256 => {
                        pss::VerifyingKey::<Sha256>::new_with_salt_len(key, salt).verify(message, &signature)
                    }
                    Hash::Sha384 => {
                        pss::VerifyingKey::<Sha384>::new_with_salt_len(key, salt).verify(message, &signature)
                    }
                    Hash::Sha512 => {
                        pss::VerifyingKey::<Sha512>::new_with_salt_len(key, salt).verify(message, &signature)
                    }
                }
                .map_err(invalid)
            }
            (Self::P256(key), Algorithm::Ecdsa(hash)) => {
                let signature = p256::ecdsa::Signature::from_der(signature).map_err(invalid)?;
                verify_prehashed(key, hash, message, &signature)
            }
            (Self::P384(key), Algorithm::Ecdsa(hash)) => {
                let signature = p384::ecdsa::Signature::from_der(signature).map_err(invalid)?;
                verify_prehashed(key, hash, message, &signature)
            }
            (Self::P521(key), Algorithm::Ecdsa(hash)) => {
                let signature = p521::ecdsa::Signature::from_der(signature).map_err(invalid)?;
                verify_prehashed(key, hash, message, &signature)
            }
            _ => Err(SignatureError::WrongKeyType),
        }
    }
}

fn verify_prehashed<S>(
    key: &impl PrehashVerifier<S>,
    hash: Hash,
    message: &[u8],
    signature: &S,
) -> Result<(), SignatureError> {
    match hash {
        Hash::Sha256 => key.verify_prehash(&Sha256::digest(message), signature),
        Hash::Sha384 => key.verify_prehash(&Sha384::digest(message), signature),
        Hash::Sha512 => key.verify_prehash(&Sha512::digest(message), signature),
    }
    .map_err(|_| SignatureError::Invalid)
}

fn rsa_key(bytes: &[u8]) -> Result<RsaPublicKey, CertificateKeyError> {
    let key = rsa::pkcs1::RsaPublicKeyRef::from_der(bytes).map_err(|_| CertificateKeyError::Malformed)?;
    let modulus = key.modulus.as_bytes();
    let bits = modulus.first().map_or(0, |top| modulus.len() * 8 - usize::from(top.leading_zeros().to_le_bytes()[0]));
    if bits < MIN_RSA_BITS {
        return Err(CertificateKeyError::Weak { bits });
    }
    if bits > MAX_RSA_BITS || key.public_exponent.as_bytes().len() > 8 {
        return Err(CertificateKeyError::Malformed);
    }
    let number = BoxedUint::from_be_slice_vartime;
    RsaPublicKey::new_with_size_limits(
        number(modulus),
        number(key.public_exponent.as_bytes()),
        MIN_RSA_BITS..=MAX_RSA_BITS,
    )
    .map_err(|_| CertificateKeyError::Malformed)
}

fn parse_algorithm(algorithm: &AlgorithmIdentifierOwned) -> Result<Algorithm, SignatureError> {
    let oid = algorithm.oid;
    let parameters = algorithm.parameters.as_ref();
    let pkcs1 = |hash| {
        // NULL by the standard; absent is read too.
        if parameters.is_none_or(Any::is_null) {
            Ok(Algorithm::Pkcs1(hash))
        } else {
            Err(SignatureError::Parameters(oid))
        }
    };
    let ecdsa =
        |hash| if parameters.is_none() { Ok(Algorithm::Ecdsa(hash)) } else { Err(SignatureError::Parameters(oid)) };
    match oid {
        rfc5912::SHA_256_WITH_RSA_ENCRYPTION => pkcs1(Hash::Sha256),
        rfc5912::SHA_384_WITH_RSA_ENCRYPTION => pkcs1(Hash::Sha384),
        rfc5912::SHA_512_WITH_RSA_ENCRYPTION => pkcs1(Hash::Sha512),
        rfc5912::ECDSA_WITH_SHA_256 => ecdsa(Hash::Sha256),
        rfc5912::ECDSA_WITH_SHA_384 => ecdsa(Hash::Sha384),
        rfc5912::ECDSA_WITH_SHA_512 => ecdsa(Hash::Sha512),
        rfc5912::ID_RSASSA_PSS => pss_parameters(oid, parameters),
        rfc5912::MD_2_WITH_RSA_ENCRYPTION
        | MD4_WITH_RSA
        | rfc5912::MD_5_WITH_RSA_ENCRYPTION
        | rfc5912::SHA_1_WITH_RSA_ENCRYPTION
        | ECDSA_WITH_SHA1 => Err(SignatureError::WeakAlgorithm(oid)),
        other => Err(SignatureError::UnsupportedAlgorithm(other)),
    }
}

/// RSASSA-PSS-params (RFC 8017 A.2.3). Salts may be longer than 255 bytes with large keys.
#[derive(Sequence)]
struct PssParameters {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    hash: Option<AlgorithmIdentifierOwned>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    mask: Option<AlgorithmIdentifierOwned>,
    #[asn1(context_specific = "2", tag_mode = "EXPLICIT", optional = "true")]
    salt: Option<u16>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    trailer: Option<u8>,
}

fn pss_parameters(oid: ObjectIdentifier, parameters: Option<&Any>) -> Result<Algorithm, SignatureError> {
    let unsupported = SignatureError::Parameters(oid);
    let pss: PssParameters = parameters.and_then(|parameters| parameters.decode_as().ok()).ok_or(unsupported)?;
    // Absent means SHA-1.
    let id = pss.hash.map_or(SHA1, |hash| hash.oid);
    if id == SHA1 {
        return Err(SignatureError::WeakAlgorithm(oid));
    }
    let hash = Hash::from_oid(id).ok_or(unsupported)?;
    let mask = pss.mask.filter(|mask| mask.oid == MGF1).ok_or(unsupported)?;
    let mask_hash: Option<AlgorithmIdentifierOwned> = mask.parameters.and_then(|inner| inner.decode_as().ok());
    if mask_hash.is_none_or(|inner| inner.oid != id) || !matches!(pss.trailer, None | Some(1)) {
        return Err(unsupported);
    }
    // Absent means 20 bytes.
    Ok(Algorithm::Pss { hash, salt: pss.salt.map_or(20, usize::from) })
}
