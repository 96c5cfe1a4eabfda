//! One certificate, parsed once: the bytes it was signed over, names in comparable form, extensions.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use der::asn1::AnyRef;
use der::{Decode, Reader, SliceReader, Tag, Tagged};
use x509_cert::ext::pkix::AuthorityKeyIdentifier;
use x509_cert::ext::pkix::name::GeneralName;

use super::container::{self, certificate_pem};
use super::error::{CertificateKeyError, ParseError, SignatureError};
use super::extensions::CertificateExtensions;
use super::mark::is_marked;
use super::name::{CanonicalName, is_signing_key_subject};
use super::signature::PublicKey;

/// An X.509 certificate.
#[derive(Clone)]
pub struct Certificate {
    der: Vec<u8>,
    signed: Vec<u8>,
    pub(super) x509: x509_cert::Certificate,
    pub(super) subject: CanonicalName,
    pub(super) issuer: CanonicalName,
    pub(super) extensions: CertificateExtensions,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tbs = self.x509.tbs_certificate();
        write!(f, "Certificate({}, serial {})", tbs.subject(), tbs.serial_number())
    }
}

/// The first element of a signed structure, as its bytes stand there.
pub(super) fn signed_part(der: &[u8]) -> der::Result<Vec<u8>> {
    let outer = AnyRef::from_der(der)?;
    if outer.tag() != Tag::Sequence {
        return Err(outer.tag().value_error().into());
    }
    let mut reader = SliceReader::new(outer.value())?;
    Ok(reader.tlv_bytes()?.to_vec())
}

impl Certificate {
    /// Reads one DER certificate.
    ///
    /// # Errors
    /// [`ParseError::Der`] for anything that is no certificate or holds a damaged extension,
    /// [`ParseError::DuplicateExtension`], [`ParseError::TooLarge`].
    pub fn from_der(der: &[u8]) -> Result<Self, ParseError> {
        if der.len() > container::MAX_INPUT {
            return Err(ParseError::TooLarge { actual: der.len(), limit: container::MAX_INPUT });
        }
        let damaged = |source| ParseError::Der { what: "certificate", source };
        let x509 = x509_cert::Certificate::from_der(der).map_err(damaged)?;
        let tbs = x509.tbs_certificate();
        Ok(Self {
            signed: signed_part(der).map_err(damaged)?,
            der: der.to_vec(),
            subject: CanonicalName::of(tbs.subject()),
            issuer: CanonicalName::of(tbs.issuer()),
            extensions: CertificateExtensions::of(tbs.extensions())?,
            x509,
        })
    }

    /// Reads the first certificate of a PEM file, or a DER certificate.
    ///
    /// # Errors
    /// As [`Certificate::from_der`]; [`ParseError::NoCertificate`] and [`ParseError::Pem`] for PEM.
    pub fn from_bytes(input: &[u8]) -> Result<Self, ParseError> {
        let contents = container::read(input)?;
        match (contents.der, contents.certificates.first()) {
            (Some(der), _) => Self::from_der(&der),
            (None, Some(first)) => Self::from_der(first),
            (None, None) => Err(ParseError::NoCertificate),
        }
    }

    /// The certificate in DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The certificate in PEM, ending in a newline.
    #[must_use]
    pub fn to_pem(&self) -> String {
        certificate_pem(&self.der)
    }

    /// The subject in the text form of RFC 4514.
    #[must_use]
    pub fn subject(&self) -> String {
        alloc::format!("{}", self.x509.tbs_certificate().subject())
    }

    /// The issuer in the text form of RFC 4514.
    #[must_use]
    pub fn issuer(&self) -> String {
        alloc::format!("{}", self.x509.tbs_certificate().issuer())
    }

    /// The serial number, big endian.
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        self.x509.tbs_certificate().serial_number().as_bytes()
    }

    /// First second of its validity, Unix time.
    #[must_use]
    pub fn not_before(&self) -> u64 {
        self.x509.tbs_certificate().validity().not_before.to_unix_duration().as_secs()
    }

    /// End of its validity, Unix time. In this second it does not hold any more.
    #[must_use]
    pub fn not_after(&self) -> u64 {
        self.x509.tbs_certificate().validity().not_after.to_unix_duration().as_secs()
    }

    /// Whether it has the subject of an IBM Z signing key (s390-formats §10, rule 3).
    #[must_use]
    pub fn is_ibm_z_signing_key(&self) -> bool {
        is_signing_key_subject(self.x509.tbs_certificate().subject())
    }

    /// Whether it stands for a simulated machine: it bears the mark extension, or the mark's text in subject or issuer.
    #[must_use]
    pub fn is_simulated(&self) -> bool {
        let tbs = self.x509.tbs_certificate();
        self.extensions.simulated || is_marked(tbs.subject()) || is_marked(tbs.issuer())
    }

    pub(super) fn public_key(&self) -> Result<PublicKey, CertificateKeyError> {
        PublicKey::from_spki(self.x509.tbs_certificate().subject_public_key_info())
    }

    /// Its signature, checked with the key of the issuer.
    pub(super) fn verify_signature(&self, issuer: &PublicKey) -> Result<(), SignatureError> {
        let algorithm = self.x509.signature_algorithm();
        if algorithm != self.x509.tbs_certificate().signature() {
            return Err(SignatureError::AlgorithmInconsistent);
        }
        let signature = self.x509.signature().as_bytes().ok_or(SignatureError::Invalid)?;
        issuer.verify(algorithm, &self.signed, signature)
    }

    /// Whether it is a certificate authority by basic constraints and key usage.
    pub(super) fn is_ca(&self) -> bool {
        self.extensions.basic.as_ref().is_some_and(|basic| basic.value.ca) && self.may_sign_certificates()
    }

    /// Key usage allows certificates to be signed, or says nothing.
    pub(super) fn may_sign_certificates(&self) -> bool {
        self.extensions.key_usage.as_ref().is_none_or(|usage| usage.key_cert_sign())
    }

    /// Subject and issuer are one.
    pub(super) fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }

    /// Self-issued, and no key id says otherwise.
    pub(super) fn is_self_signed(&self) -> bool {
        self.is_self_issued() && self.fits_authority_of_certificate(self)
    }

    /// Whether `child` may name this certificate as its authority.
    pub(super) fn fits_authority_of_certificate(&self, child: &Self) -> bool {
        child.extensions.authority.as_ref().is_none_or(|authority| self.fits_authority(&authority.value))
    }

    /// Whether this certificate is the one an authority key id names: key id, serial and issuer where both sides have
    /// them.
    pub(super) fn fits_authority(&self, authority: &AuthorityKeyIdentifier) -> bool {
        let key = match (&authority.key_identifier, &self.extensions.subject_key) {
            (Some(wanted), Some(own)) => *wanted == own.value.0,
            _ => true,
        };
        let serial =
            authority.authority_cert_serial_number.as_ref().is_none_or(|wanted| wanted.as_bytes() == self.serial());
        let issuer = authority.authority_cert_issuer.iter().flatten().find_map(|name| match name {
            GeneralName::DirectoryName(name) => Some(CanonicalName::of(name)),
            _ => None,
        });
        key && serial && issuer.is_none_or(|wanted| wanted == self.issuer)
    }
}
