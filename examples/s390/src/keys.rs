//! Key files and host-key documents of the s390 programs.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use uv_s390::owner::crypto::{HostPrivateKey, HostPublicKey, SecretBytes};
use uv_s390::owner::hostkey::{HostKeyDocument, MAX_INPUT, Verifier, VerifierBuilder};
use zeroize::Zeroizing;

use uv_programs::Failure;
use uv_programs::files::read_file_limited;
use uv_programs::pem;

/// Host-key documents, and how they are verified.
#[derive(Args, Debug, Clone)]
pub struct HostKeyArgs {
    /// Host-key document (certificate, PEM or DER) of a machine; may be given more than once
    #[arg(short = 'k', long = "host-key-document", value_name = "CERT", required = true)]
    pub host_key_documents: Vec<PathBuf>,
    /// Take the host-key documents without verifying them
    #[arg(long, conflicts_with_all = ["certificates", "crls", "root_cas"])]
    pub no_verify: bool,
    /// Certificate of the IBM Z signing key, or of an intermediate authority; may be given more than once
    #[arg(short = 'C', long = "cert", value_name = "CERT")]
    pub certificates: Vec<PathBuf>,
    /// Certificate revocation list; may be given more than once
    #[arg(long = "crl", value_name = "FILE")]
    pub crls: Vec<PathBuf>,
    /// Trusted root certificate; may be given more than once
    #[arg(long = "root-ca", value_name = "CERT")]
    pub root_cas: Vec<PathBuf>,
    /// Fetch nothing (always so here; taken for compatibility)
    #[arg(long)]
    pub offline: bool,
}

impl HostKeyArgs {
    /// The files that are read.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.host_key_documents.iter().chain(&self.certificates).chain(&self.crls).chain(&self.root_cas)
    }

    /// Reads the host keys, verified unless told otherwise.
    ///
    /// # Errors
    /// Status 2 for files that cannot be used, and without `--no-verify` or the means to verify; status 1 for a
    /// document that does not verify.
    pub fn load(&self) -> Result<Vec<HostPublicKey>, Failure> {
        let verifier = if self.no_verify { None } else { Some(self.verifier()?) };
        let mut keys = Vec::new();
        for path in &self.host_key_documents {
            let document = read_document(path)?;
            if let Some(verifier) = &verifier {
                verifier.verify(&document).map_err(|error| Failure::refused(error).at(path.display()))?;
            }
            keys.push(*document.public_key());
        }
        Ok(keys)
    }

    fn verifier(&self) -> Result<Verifier, Failure> {
        if self.certificates.is_empty() || self.root_cas.is_empty() {
            return Err(Failure::unusable(
                "the host-key documents must be verified: give the signing certificates with -C, their revocation \
                 lists with --crl and the root with --root-ca, or give --no-verify",
            ));
        }
        let mut builder = VerifierBuilder::new();
        for path in &self.certificates {
            builder
                .add_certificates(&read_input(path)?)
                .map_err(|error| Failure::unusable(error).at(path.display()))?;
        }
        for path in &self.crls {
            builder.add_crls(&read_input(path)?).map_err(|error| Failure::unusable(error).at(path.display()))?;
        }
        for path in &self.root_cas {
            builder.add_roots(&read_input(path)?).map_err(|error| Failure::unusable(error).at(path.display()))?;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        builder.build(now).map_err(Failure::refused)
    }
}

/// Reads a host-key document without verifying it.
///
/// # Errors
/// Status 2 if it is not a certificate with a P-521 key.
pub fn read_document(path: &Path) -> Result<HostKeyDocument, Failure> {
    let bytes = read_input(path)?;
    HostKeyDocument::from_bytes(&bytes).map_err(|error| pem::unusable(path, &bytes, "a certificate", error))
}

/// Reads a machine's private host key in PEM.
///
/// # Errors
/// Status 2 if it is not a P-521 private key.
pub fn read_host_private_key(path: &Path) -> Result<HostPrivateKey, Failure> {
    let bytes = Zeroizing::new(read_input(path)?);
    let unusable = |sentence: &dyn core::fmt::Display| pem::unusable(path, &bytes, "a private key", sentence);
    let text = core::str::from_utf8(&bytes).map_err(|_| unusable(&"not a PEM file"))?;
    HostPrivateKey::from_pem(text).map_err(|error| unusable(&error))
}

/// Reads a raw key file of exactly `N` bytes.
///
/// # Errors
/// Status 2 for any other length.
pub fn read_key<const N: usize>(path: &Path) -> Result<SecretBytes<N>, Failure> {
    let bytes = Zeroizing::new(read_input(path)?);
    SecretBytes::from_slice(&bytes)
        .map_err(|error| pem::unusable(path, &bytes, "a file with the bytes of the key", error))
}

/// Reads a small file: a certificate, list or key.
fn read_input(path: &Path) -> Result<Vec<u8>, Failure> {
    read_file_limited(path, u64::try_from(MAX_INPUT).unwrap_or(u64::MAX))
}
