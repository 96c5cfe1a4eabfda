//! Public host keys and the documents they come in.

use core::fmt;

use der::{Decode, Encode};
use p521::pkcs8::{AssociatedOid, DecodePublicKey};
use x509_cert::Certificate;

use super::coordinates::{Coordinates, Phkh};
use super::error::KeyError;
use super::pem;

const CERTIFICATE: &str = "CERTIFICATE";
const PUBLIC_KEY: &str = "PUBLIC KEY";

/// Does an algorithm identifier say "elliptic curve key on P-521"?
pub(super) fn is_p521(algorithm: &p521::pkcs8::spki::AlgorithmIdentifierRef<'_>) -> bool {
    let expected = (p521::elliptic_curve::ALGORITHM_OID, Some(p521::NistP521::OID));
    algorithm.oids().is_ok_and(|oids| oids == expected)
}

/// Public host key of a machine: a point on NIST P-521.
///
/// Nothing here says that the key belongs to a real machine; checking the certificate chain is another matter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HostPublicKey(p521::PublicKey);

impl HostPublicKey {
    /// Reads a host-key document: an X.509 certificate in PEM or DER. Of several certificates in a PEM file only the
    /// first is used. The certificate's signature, issuer and validity are not checked.
    ///
    /// # Errors
    /// [`KeyError::Pem`] for PEM text without a certificate, [`KeyError::Der`] for a damaged certificate,
    /// [`KeyError::NotP521`] for any other kind of key, [`KeyError::NotOnCurve`] for a bad point.
    pub fn from_certificate(document: &[u8]) -> Result<Self, KeyError> {
        if pem::is_pem(document) {
            let (_, content) = pem::first_block(document, &[CERTIFICATE])?;
            Self::from_certificate_der(&content)
        } else {
            Self::from_certificate_der(document)
        }
    }

    /// Reads a DER SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// [`KeyError::Der`], [`KeyError::NotP521`], [`KeyError::NotOnCurve`].
    pub fn from_spki_der(document: &[u8]) -> Result<Self, KeyError> {
        let spki = p521::pkcs8::SubjectPublicKeyInfoRef::try_from(document).map_err(|_| KeyError::Der)?;
        if !is_p521(&spki.algorithm) {
            return Err(KeyError::NotP521);
        }
        p521::PublicKey::from_public_key_der(document).map(Self).map_err(|_| KeyError::NotOnCurve)
    }

    /// Reads PEM text: the first certificate or public key in it.
    ///
    /// # Errors
    /// [`KeyError::Pem`] if there is neither; otherwise as [`Self::from_certificate`] and [`Self::from_spki_der`].
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let (label, content) = pem::first_block(text.as_bytes(), &[CERTIFICATE, PUBLIC_KEY])?;
        match label.as_str() {
            CERTIFICATE => Self::from_certificate_der(&content),
            _ => Self::from_spki_der(&content),
        }
    }

    /// Reads the 160-byte encoding.
    ///
    /// # Errors
    /// [`KeyError::NotOnCurve`].
    pub fn from_coordinates(coordinates: &Coordinates) -> Result<Self, KeyError> {
        coordinates.to_key().map(Self)
    }

    /// The key inside an already parsed certificate.
    ///
    /// # Errors
    /// [`KeyError::NotP521`], [`KeyError::NotOnCurve`].
    pub fn of_certificate(certificate: &Certificate) -> Result<Self, KeyError> {
        let spki = certificate.tbs_certificate().subject_public_key_info();
        Self::from_spki_der(&spki.to_der().map_err(|_| KeyError::Der)?)
    }

    fn from_certificate_der(document: &[u8]) -> Result<Self, KeyError> {
        Self::of_certificate(&Certificate::from_der(document).map_err(|_| KeyError::Der)?)
    }

    /// The 160-byte encoding.
    #[must_use]
    pub fn coordinates(&self) -> Coordinates {
        Coordinates::of_key(&self.0)
    }

    /// SHA-256 of the 160-byte encoding.
    #[must_use]
    pub fn phkh(&self) -> Phkh {
        self.coordinates().phkh()
    }

    pub(super) const fn from_key(key: p521::PublicKey) -> Self {
        Self(key)
    }

    pub(crate) const fn key(&self) -> &p521::PublicKey {
        &self.0
    }
}

impl fmt::Debug for HostPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostPublicKey({})", self.phkh())
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec::Vec;

    use super::super::{HostPrivateKey, vectors};
    use super::*;

    const HOST1_CERT: &str = include_str!("../../../tests/fixtures/keys/host1.crt.pem");
    const HOST1_KEY: &str = include_str!("../../../tests/fixtures/keys/host1.key.pem");
    const RSA_CERT: &str = include_str!("../../../tests/fixtures/keys/sign-rsa2048.crt.pem");

    fn host1() -> HostPublicKey {
        HostPrivateKey::from_pem(HOST1_KEY).unwrap().public()
    }

    #[test]
    fn certificate_in_pem_and_der() {
        let key = HostPublicKey::from_certificate(HOST1_CERT.as_bytes()).unwrap();
        assert_eq!(key, host1());
        assert_eq!(HostPublicKey::from_pem(HOST1_CERT).unwrap(), key);
        assert_eq!(hex::encode(key.phkh().0), "5233b0db6e440bb103a7d37335e7ab348210bda6fd92ba150615f70096871c68");
        let (_, der) = pem::first_block(HOST1_CERT.as_bytes(), &[CERTIFICATE]).unwrap();
        assert_eq!(HostPublicKey::from_certificate(&der).unwrap(), key);
        assert_eq!(HostPublicKey::from_certificate(&der[..der.len() - 1]).unwrap_err(), KeyError::Der);
    }

    #[test]
    fn the_first_certificate_counts() {
        let text = format!("some text\n{HOST1_CERT}more\n{RSA_CERT}");
        assert_eq!(HostPublicKey::from_certificate(text.as_bytes()).unwrap(), host1());
        let text = format!("{RSA_CERT}{HOST1_CERT}");
        assert_eq!(HostPublicKey::from_certificate(text.as_bytes()).unwrap_err(), KeyError::NotP521);
        let text = format!("{HOST1_KEY}{HOST1_CERT}");
        assert_eq!(HostPublicKey::from_pem(&text).unwrap(), host1());
    }

    #[test]
    fn spki_round_trip() {
        use p521::pkcs8::EncodePublicKey;
        let der: Vec<u8> = host1().key().to_public_key_der().unwrap().into_vec();
        assert_eq!(HostPublicKey::from_spki_der(&der).unwrap(), host1());
        let pem = host1().key().to_public_key_pem(der::pem::LineEnding::LF).unwrap();
        assert_eq!(HostPublicKey::from_pem(&pem).unwrap(), host1());
        let mut off_curve = der.clone();
        *off_curve.last_mut().unwrap() ^= 1;
        assert_eq!(HostPublicKey::from_spki_der(&off_curve).unwrap_err(), KeyError::NotOnCurve);
        assert_eq!(HostPublicKey::from_spki_der(b"").unwrap_err(), KeyError::Der);
    }

    #[test]
    fn text_without_a_key() {
        assert_eq!(HostPublicKey::from_pem("").unwrap_err(), KeyError::Pem);
        assert_eq!(HostPublicKey::from_pem(HOST1_KEY).unwrap_err(), KeyError::Pem);
        assert_eq!(HostPublicKey::from_certificate(HOST1_KEY.as_bytes()).unwrap_err(), KeyError::Pem);
        assert_eq!(HostPublicKey::from_certificate(b"-----BEGIN CERTIFICATE").unwrap_err(), KeyError::Pem);
        assert_eq!(HostPublicKey::from_certificate(b"no certificate").unwrap_err(), KeyError::Der);
    }

    #[test]
    fn coordinates_round_trip() {
        let key = vectors::host_private().public();
        assert_eq!(HostPublicKey::from_coordinates(&key.coordinates()).unwrap(), key);
        assert_eq!(format!("{key:?}"), format!("HostPublicKey({})", vectors::PHKH));
    }
}
