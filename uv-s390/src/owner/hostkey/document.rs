//! The host-key document: a certificate whose key is on P-521.

use crate::owner::crypto::HostPublicKey;

use super::certificate::Certificate;
use super::error::ParseError;

/// A host-key document, not yet verified.
#[derive(Clone, Debug)]
pub struct HostKeyDocument {
    certificate: Certificate,
    key: HostPublicKey,
}

impl HostKeyDocument {
    /// Reads a document from PEM or DER. Of a PEM file with several certificates the first counts.
    ///
    /// # Errors
    /// As [`Certificate::from_bytes`]; [`ParseError::NotP521`] for another key or a point that is not on the curve.
    pub fn from_bytes(input: &[u8]) -> Result<Self, ParseError> {
        Certificate::from_bytes(input)?.try_into()
    }

    /// The certificate of the document.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The public host key.
    #[must_use]
    pub fn public_key(&self) -> &HostPublicKey {
        &self.key
    }

    /// Whether it stands for a simulated machine ([`Certificate::is_simulated`]).
    #[must_use]
    pub fn is_simulated(&self) -> bool {
        self.certificate.is_simulated()
    }
}

impl TryFrom<Certificate> for HostKeyDocument {
    type Error = ParseError;

    fn try_from(certificate: Certificate) -> Result<Self, ParseError> {
        let key = HostPublicKey::of_certificate(&certificate.x509).map_err(|_| ParseError::NotP521)?;
        Ok(Self { certificate, key })
    }
}
