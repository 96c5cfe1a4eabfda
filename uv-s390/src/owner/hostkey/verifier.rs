//! The verifier of host-key documents.

use alloc::vec::Vec;
use core::fmt;

use super::HostKeyDocument;
use super::certificate::Certificate;
use super::chain::{self, Store};
use super::container;
use super::crl::Crl;
use super::error::{ParseError, VerifyError};
use super::signature::PublicKey;

/// Collects what a verification starts from: certificates, revocation lists, roots.
///
/// The order of the calls does not matter except where two certificates fit equally: the one given first is taken.
#[derive(Clone, Debug, Default)]
pub struct VerifierBuilder {
    certificates: Vec<Certificate>,
    roots: Vec<Certificate>,
    crls: Vec<Crl>,
}

impl VerifierBuilder {
    /// Starts with nothing. Without roots nothing is accepted: there is no system trust store here.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the certificates of one input (`-C`): the IBM Z signing key and intermediates, PEM with any number of
    /// certificates or one in DER. Revocation lists in the same PEM are used too.
    ///
    /// # Errors
    /// [`ParseError`]; [`ParseError::NoCertificate`] when there is none. Then nothing was added.
    pub fn add_certificates(&mut self, input: &[u8]) -> Result<&mut Self, ParseError> {
        let (certificates, crls) = read_certificates(input)?;
        self.certificates.extend(certificates);
        self.crls.extend(crls);
        Ok(self)
    }

    /// Adds the revocation lists of one input (`--crl`): PEM with any number of lists or one in DER. Certificates in
    /// the same PEM are passed over.
    ///
    /// # Errors
    /// [`ParseError`]; [`ParseError::NoCrl`] when there is none. Then nothing was added.
    pub fn add_crls(&mut self, input: &[u8]) -> Result<&mut Self, ParseError> {
        let contents = container::read(input)?;
        let crls = match &contents.der {
            Some(der) => alloc::vec![Crl::from_der(der)?],
            None => read_crls(&contents.crls)?,
        };
        if crls.is_empty() {
            return Err(ParseError::NoCrl);
        }
        self.crls.extend(crls);
        Ok(self)
    }

    /// Adds the trusted roots of one input (`--root-ca`): PEM with any number of certificates or one in DER.
    /// Revocation lists in the same PEM are used too. Only a self-signed certificate can end a chain.
    ///
    /// # Errors
    /// [`ParseError`]; [`ParseError::NoCertificate`] when there is none. Then nothing was added.
    pub fn add_roots(&mut self, input: &[u8]) -> Result<&mut Self, ParseError> {
        let (roots, crls) = read_certificates(input)?;
        self.roots.extend(roots);
        self.crls.extend(crls);
        Ok(self)
    }

    /// Finds the IBM Z signing key and verifies its chain at `time` (Unix seconds): rules 3 and 4 of s390-formats §10.
    ///
    /// # Errors
    /// [`VerifyError::NoSigningKey`], [`VerifyError::ManySigningKeys`], [`VerifyError::SimulatedSigningKey`],
    /// [`VerifyError::SigningKey`], in this order.
    pub fn build(self, time: u64) -> Result<Verifier, VerifyError> {
        let (mut signing, intermediates): (Vec<_>, Vec<_>) =
            self.certificates.into_iter().partition(Certificate::is_ibm_z_signing_key);
        let signing_key = signing.pop().ok_or(VerifyError::NoSigningKey)?;
        if !signing.is_empty() {
            return Err(VerifyError::ManySigningKeys);
        }
        let only_real_roots = !self.roots.is_empty() && !self.roots.iter().any(Certificate::is_simulated);
        if signing_key.is_simulated() && only_real_roots {
            return Err(VerifyError::SimulatedSigningKey);
        }
        let store = Store { roots: &self.roots, intermediates: &intermediates, crls: &self.crls, time };
        let simulated = chain::verify(&signing_key, &store)?.is_simulated();
        let public_key = signing_key.public_key().map_err(VerifyError::Key)?;
        let crls = crls_of_signing_key(&signing_key, self.crls);
        Ok(Verifier { signing_key, public_key, crls, simulated, time })
    }
}

fn read_crls(ders: &[Vec<u8>]) -> Result<Vec<Crl>, ParseError> {
    ders.iter().map(|der| Crl::from_der(der)).collect()
}

fn read_certificates(input: &[u8]) -> Result<(Vec<Certificate>, Vec<Crl>), ParseError> {
    let contents = container::read(input)?;
    let certificates = match &contents.der {
        Some(der) => alloc::vec![Certificate::from_der(der)?],
        None => contents.certificates.iter().map(|der| Certificate::from_der(der)).collect::<Result<_, _>>()?,
    };
    if certificates.is_empty() {
        return Err(ParseError::NoCertificate);
    }
    Ok((certificates, read_crls(&contents.crls)?))
}

/// The lists under the first lookup name that has any (rule 6).
fn crls_of_signing_key(signing_key: &Certificate, crls: Vec<Crl>) -> Vec<Crl> {
    let names = signing_key.subject.crl_lookup_names();
    match names.into_iter().find(|name| crls.iter().any(|crl| crl.issuer == *name)) {
        Some(name) => crls.into_iter().filter(|crl| crl.issuer == name).collect(),
        None => Vec::new(),
    }
}

/// A verified IBM Z signing key with its revocation lists, at one point in time.
pub struct Verifier {
    signing_key: Certificate,
    public_key: PublicKey,
    crls: Vec<Crl>,
    simulated: bool,
    time: u64,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("signing_key", &self.signing_key)
            .field("crls", &self.crls)
            .field("simulated", &self.simulated)
            .field("time", &self.time)
            .finish_non_exhaustive()
    }
}

impl Verifier {
    /// The signing key whose chain was verified.
    #[must_use]
    pub fn signing_key(&self) -> &Certificate {
        &self.signing_key
    }

    /// Whether the root of the signing key is marked as simulated. Then every document this verifier accepts belongs to
    /// a simulated machine.
    #[must_use]
    pub fn is_simulated(&self) -> bool {
        self.simulated
    }

    /// Verifies a host-key document: rules 5 and 6 of s390-formats §10.
    ///
    /// # Errors
    /// [`VerifyError`], the first that applies in this order: the marks of simulation, key strength, validity,
    /// authority key id, signature, unknown critical extensions, revocation lists, revocation.
    pub fn verify(&self, document: &HostKeyDocument) -> Result<(), VerifyError> {
        self.verify_certificate(document.certificate())
    }

    /// As [`Verifier::verify`], for a certificate whose key need not be on P-521.
    ///
    /// # Errors
    /// As [`Verifier::verify`].
    pub fn verify_certificate(&self, certificate: &Certificate) -> Result<(), VerifyError> {
        let result = self.check(certificate);
        tracing::debug!(?certificate, simulated = self.simulated, ?result, "host-key document checked");
        result
    }

    fn check(&self, certificate: &Certificate) -> Result<(), VerifyError> {
        match (certificate.is_simulated(), self.simulated) {
            (true, false) => return Err(VerifyError::SimulatedHostKey),
            (false, true) => return Err(VerifyError::UnmarkedHostKey),
            _ => {}
        }
        certificate.public_key().map_err(VerifyError::Key)?;
        if self.time < certificate.not_before() {
            return Err(VerifyError::NotYetValid);
        }
        if self.time >= certificate.not_after() {
            return Err(VerifyError::Expired);
        }
        if !self.signing_key.fits_authority_of_certificate(certificate) {
            return Err(VerifyError::AuthorityKeyIdMismatch);
        }
        certificate.verify_signature(&self.public_key).map_err(VerifyError::Signature)?;
        if let Some(oid) = certificate.extensions.unknown_critical {
            return Err(VerifyError::UnknownCritical(oid));
        }
        let counts = |crl: &&Crl| {
            crl.is_current(self.time)
                && crl.extensions.authority.as_ref().is_none_or(|authority| self.signing_key.fits_authority(authority))
                && crl.verify_signature(&self.public_key).is_ok()
                && crl.unknown_critical().is_none()
                && crl.covers(certificate)
        };
        let mut valid = self.crls.iter().filter(counts).peekable();
        if valid.peek().is_none() {
            return Err(VerifyError::NoValidCrl { found: self.crls.len() });
        }
        if valid.any(|crl| crl.revokes(certificate.serial())) {
            return Err(VerifyError::Revoked);
        }
        Ok(())
    }
}
