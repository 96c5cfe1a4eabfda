//! A public-key infrastructure for simulated machines.
//!
//! Who uses it: tests, and demonstrations without a real machine.
//!
//! [`TestPki`] makes, from a random number generator, a root, an intermediate and a certificate shaped like an IBM Z
//! signing key; it issues host-key documents for simulated machines and the revocation lists that go with all of
//! them. The shape is that of the real chain (s390-formats §10), so that verifiers, ours and the real tools', can be shown
//! the accepting path too.
//!
//! None of it can pass for a real machine: the private keys are made at run time, cannot be taken out, and no real
//! authority signed them, so no chain ends in a root that anybody trusts. Every certificate says what it is: the text
//! [`SIMULATION_MARK`] stands in its subject and in the extension [`SIMULATION_MARK_OID`](super::SIMULATION_MARK_OID), and
//! [`Verifier`](super::Verifier) accepts marked certificates under a marked root only.
//!
//! ```
//! use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
//! use uv_s390::owner::crypto::HostPrivateKey;
//! use uv_s390::owner::hostkey::test_pki::TestPki;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut rng = ChaCha20Rng::seed_from_u64(1);
//! let (year_2026, year_2036) = (1_767_225_600, 2_082_758_400);
//! let machine = HostPrivateKey::generate(&mut rng);
//! let mut pki = TestPki::generate(&mut rng, year_2026, year_2036)?;
//! let document = pki.issue(&machine.public(), "machine-1")?;
//!
//! let verifier = pki.verifier_builder()?.build(1_800_000_000)?;
//! verifier.verify(&document)?;
//! assert!(verifier.is_simulated());
//! println!("{}", document.certificate().to_pem());
//! # Ok(())
//! # }
//! ```

mod draft;
mod shape;

use alloc::vec::Vec;
use core::fmt;

use p521::ecdsa::{DerSignature, SigningKey};
use p521::elliptic_curve::Generate;
use rand_core::CryptoRng;
use x509_cert::name::Name;
use x509_cert::spki::{EncodePublicKey, SubjectPublicKeyInfoOwned};

use super::certificate::Certificate;
use super::crl::Crl;
use super::error::ParseError;
use super::mark::SIMULATION_MARK;
use super::{HostKeyDocument, VerifierBuilder};
use crate::owner::crypto::HostPublicKey;

pub(super) use draft::{CertificateDraft, CrlDraft};
pub(super) use shape::{Role, extensions, name};
#[cfg(test)]
pub(super) use shape::{authority_key, extension};

/// Longest machine name, in bytes: the bound of X.520 for a common name.
pub const MAX_MACHINE_NAME: usize = 64;

/// Why nothing was issued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestPkiError {
    /// An empty machine name or one of more than [`MAX_MACHINE_NAME`] bytes.
    #[error("the machine name has {0} bytes; give one of 1 to 64")]
    MachineName(usize),
    /// The end of the validity is not after its begin.
    #[error("the validity ends before it begins; give the begin first")]
    Validity,
    /// A structure could not be encoded: a date after the year 9999, or one before 1970.
    #[error("a certificate or revocation list could not be built: {0}")]
    Build(#[from] x509_cert::builder::Error),
    /// What was built could not be read again.
    #[error("a certificate that was built could not be read again: {0}")]
    Parse(#[from] ParseError),
}

impl From<der::Error> for TestPkiError {
    fn from(error: der::Error) -> Self {
        Self::Build(error.into())
    }
}

struct Authority {
    key: SigningKey,
    certificate: Certificate,
    revoked: Vec<Vec<u8>>,
}

/// The test infrastructure: root, intermediate, signing key and what they issued and revoked.
///
/// All keys are on P-521, all signatures ECDSA with SHA-512 and deterministic: one seed makes one set of certificates.
pub struct TestPki {
    root: Authority,
    intermediate: Authority,
    signing: Authority,
    not_before: u64,
    not_after: u64,
    last_serial: u64,
}

impl fmt::Debug for TestPki {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TestPki({:?})", self.root.certificate)
    }
}

fn spki(key: &impl EncodePublicKey) -> Result<SubjectPublicKeyInfoOwned, TestPkiError> {
    SubjectPublicKeyInfoOwned::from_key(key).map_err(|error| TestPkiError::Build(error.into()))
}

impl TestPki {
    /// Makes root, intermediate and signing key, all valid from `not_before` to `not_after` (Unix seconds), as is
    /// everything they issue.
    ///
    /// # Errors
    /// [`TestPkiError::Validity`], [`TestPkiError::Build`].
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R, not_before: u64, not_after: u64) -> Result<Self, TestPkiError> {
        if not_after <= not_before {
            return Err(TestPkiError::Validity);
        }
        let keys = [(); 3].map(|()| SigningKey::generate_from_rng(rng));
        let names = [
            name::of_authority("Root")?,
            name::of_authority("Intermediate")?,
            name::of_signing_key("Poughkeepsie", &alloc::format!("{SIMULATION_MARK} Host Key Signing Service"))?,
        ];
        let [root_key, intermediate_key, signing_key] = keys;
        let [root_name, intermediate_name, signing_name] = names;
        let issue = |serial: u64, role, subject: &Name, key: &SigningKey, issuer: &Name, issuer_key: &SigningKey| {
            let (own, above) = (spki(key.verifying_key())?, spki(issuer_key.verifying_key())?);
            let draft = CertificateDraft {
                subject: subject.clone(),
                issuer: issuer.clone(),
                serial,
                not_before,
                not_after,
                extensions: extensions(role, &own, &above)?,
                spki: own,
            };
            let certificate = Certificate::from_der(&draft.sign::<_, DerSignature>(issuer_key)?)?;
            Ok::<_, TestPkiError>(Authority { key: key.clone(), certificate, revoked: Vec::new() })
        };
        Ok(Self {
            root: issue(1, Role::Authority, &root_name, &root_key, &root_name, &root_key)?,
            intermediate: issue(2, Role::Authority, &intermediate_name, &intermediate_key, &root_name, &root_key)?,
            signing: issue(3, Role::SigningKey, &signing_name, &signing_key, &intermediate_name, &intermediate_key)?,
            not_before,
            not_after,
            last_serial: 3,
        })
    }

    /// Issues the host-key document of a simulated machine.
    ///
    /// # Errors
    /// [`TestPkiError::MachineName`], [`TestPkiError::Build`].
    pub fn issue(&mut self, key: &HostPublicKey, machine: &str) -> Result<HostKeyDocument, TestPkiError> {
        if machine.is_empty() || machine.len() > MAX_MACHINE_NAME {
            return Err(TestPkiError::MachineName(machine.len()));
        }
        let own = spki(key.key())?;
        let draft = CertificateDraft {
            subject: name::of_machine(machine)?,
            issuer: self.signing.certificate.x509.tbs_certificate().subject().clone(),
            serial: self.last_serial + 1,
            not_before: self.not_before,
            not_after: self.not_after,
            extensions: extensions(Role::HostKey, &own, &spki(self.signing.key.verifying_key())?)?,
            spki: own,
        };
        let certificate = Certificate::from_der(&draft.sign::<_, DerSignature>(&self.signing.key)?)?;
        let document = HostKeyDocument::try_from(certificate)?;
        self.last_serial += 1;
        Ok(document)
    }

    /// Puts a document on the list of the signing key. Lists taken before do not know of it.
    pub fn revoke(&mut self, document: &HostKeyDocument) {
        self.signing.revoked.push(document.certificate().serial().to_vec());
    }

    /// The root certificate (`--root-ca`).
    #[must_use]
    pub fn root(&self) -> &Certificate {
        &self.root.certificate
    }

    /// The intermediate certificate (`-C`).
    #[must_use]
    pub fn intermediate(&self) -> &Certificate {
        &self.intermediate.certificate
    }

    /// The certificate shaped like an IBM Z signing key (`-C`).
    #[must_use]
    pub fn signing_key(&self) -> &Certificate {
        &self.signing.certificate
    }

    /// The current lists (`--crl`) of root, intermediate and signing key, in this order.
    ///
    /// # Errors
    /// [`TestPkiError::Build`].
    pub fn crls(&self) -> Result<[Crl; 3], TestPkiError> {
        Ok([self.crl(&self.root)?, self.crl(&self.intermediate)?, self.crl(&self.signing)?])
    }

    fn crl(&self, authority: &Authority) -> Result<Crl, TestPkiError> {
        let draft = CrlDraft {
            issuer: authority.certificate.x509.tbs_certificate().subject().clone(),
            this_update: self.not_before,
            next_update: Some(self.not_after),
            revoked: authority.revoked.clone(),
            extensions: alloc::vec![shape::authority_key(&spki(authority.key.verifying_key())?)?],
        };
        Ok(Crl::from_der(&draft.sign::<_, DerSignature>(&authority.key)?)?)
    }

    /// A builder with everything a verification of this infrastructure's documents needs.
    ///
    /// # Errors
    /// [`TestPkiError::Build`].
    pub fn verifier_builder(&self) -> Result<VerifierBuilder, TestPkiError> {
        let mut builder = VerifierBuilder::new();
        builder
            .add_certificates(self.signing.certificate.der())?
            .add_certificates(self.intermediate.certificate.der())?
            .add_roots(self.root.certificate.der())?;
        for crl in self.crls()? {
            builder.add_crls(crl.der())?;
        }
        Ok(builder)
    }
}
