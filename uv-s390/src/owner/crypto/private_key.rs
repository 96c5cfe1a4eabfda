//! Private keys: a machine's host key, and the customer key pair of a document.

use core::fmt;

use p521::elliptic_curve::Generate;
use p521::pkcs8::DecodePrivateKey;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::coordinates::Coordinates;
use super::error::KeyError;
use super::pem;
use super::public_key::{HostPublicKey, is_p521};
use super::secret_bytes::SharedSecret;

const PKCS8: &str = "PRIVATE KEY";
const SEC1: &str = "EC PRIVATE KEY";

/// Private host key of a machine. Only the Ultravisor side holds one; a real machine's key never leaves its firmware.
#[derive(Clone)]
pub struct HostPrivateKey(p521::SecretKey);

/// Key pair made fresh by the guest owner for each header or request; its public half is stored in the document.
#[derive(Clone)]
pub struct CustomerKeyPair(p521::SecretKey);

/// A private scalar, big endian, of 1 to 80 bytes (the formats pad to 80).
fn scalar(bytes: &[u8]) -> Result<p521::SecretKey, KeyError> {
    const FIELD: usize = 66;
    let significant = match bytes.len().checked_sub(FIELD) {
        Some(extra) if bytes.len() <= 80 && bytes[..extra].iter().all(|&byte| byte == 0) => &bytes[extra..],
        Some(_) => return Err(KeyError::ScalarRange),
        None => bytes,
    };
    let mut field = Zeroizing::new([0u8; FIELD]);
    field[FIELD - significant.len()..].copy_from_slice(significant);
    p521::SecretKey::from_slice(field.as_ref()).map_err(|_| KeyError::ScalarRange)
}

fn agree(own: &p521::SecretKey, other: &p521::PublicKey) -> SharedSecret {
    SharedSecret::new((*own.diffie_hellman(other).raw_secret_bytes()).into())
}

impl HostPrivateKey {
    /// Reads the first private key in PEM text: PKCS#8 (`PRIVATE KEY`) or SEC1 (`EC PRIVATE KEY`).
    ///
    /// # Errors
    /// [`KeyError::Pem`] if there is none; [`KeyError::NotP521`] for another curve or algorithm; [`KeyError::Der`].
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let (label, content) = pem::first_block(text.as_bytes(), &[PKCS8, SEC1])?;
        match label.as_str() {
            PKCS8 => Self::from_pkcs8_der(&content),
            _ => Self::from_sec1_der(&content),
        }
    }

    /// Reads a DER PKCS#8 private key (not encrypted).
    ///
    /// # Errors
    /// [`KeyError::NotP521`] for another curve or algorithm, [`KeyError::Der`] for everything else.
    pub fn from_pkcs8_der(document: &[u8]) -> Result<Self, KeyError> {
        let info = p521::pkcs8::PrivateKeyInfoRef::try_from(document).map_err(|_| KeyError::Der)?;
        if !is_p521(&info.algorithm) {
            return Err(KeyError::NotP521);
        }
        p521::SecretKey::from_pkcs8_der(document).map(Self).map_err(|_| KeyError::Der)
    }

    /// Reads a DER SEC1 `ECPrivateKey`.
    ///
    /// # Errors
    /// [`KeyError::Der`], also for another curve.
    pub fn from_sec1_der(document: &[u8]) -> Result<Self, KeyError> {
        p521::SecretKey::from_sec1_der(document).map(Self).map_err(|_| KeyError::Der)
    }

    /// Takes a scalar: 1 to 80 bytes, big endian; leading zeros may be left out.
    ///
    /// # Errors
    /// [`KeyError::ScalarRange`] if it is zero or not below the group order.
    pub fn from_scalar(bytes: &[u8]) -> Result<Self, KeyError> {
        scalar(bytes).map(Self)
    }

    /// Draws a random key.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self(p521::SecretKey::generate_from_rng(rng))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> HostPublicKey {
        HostPublicKey::from_key(self.0.public_key())
    }

    /// ECDH with the customer key found in a document.
    ///
    /// # Errors
    /// [`KeyError::NotOnCurve`] if `customer` is no point of the curve.
    pub fn shared_secret(&self, customer: &Coordinates) -> Result<SharedSecret, KeyError> {
        Ok(agree(&self.0, &customer.to_key()?))
    }
}

impl CustomerKeyPair {
    /// Takes a scalar as [`HostPrivateKey::from_scalar`] does, to reproduce a document.
    ///
    /// # Errors
    /// [`KeyError::ScalarRange`] if it is zero or not below the group order.
    pub fn from_scalar(bytes: &[u8]) -> Result<Self, KeyError> {
        scalar(bytes).map(Self)
    }

    /// Draws a random key pair.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self(p521::SecretKey::generate_from_rng(rng))
    }

    /// The public half, as stored in documents.
    #[must_use]
    pub fn coordinates(&self) -> Coordinates {
        Coordinates::of_key(&self.0.public_key())
    }

    /// ECDH with a machine's host key.
    #[must_use]
    pub fn shared_secret(&self, host: &HostPublicKey) -> SharedSecret {
        agree(&self.0, host.key())
    }
}

impl fmt::Debug for HostPrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostPrivateKey(..)")
    }
}

impl fmt::Debug for CustomerKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomerKeyPair(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::super::vectors;
    use super::*;

    const EC256: &str = include_str!("../../../tests/fixtures/pvsecret/inputs/ec-prime256v1.pem");
    const RSA: &str = include_str!("../../../tests/fixtures/keys/sign-rsa2048.pem");
    const HOST1: &str = include_str!("../../../tests/fixtures/keys/host1.key.pem");

    #[test]
    fn both_sides_agree() {
        let (host, customer) = (vectors::host_private(), vectors::customer_pair());
        let coordinates = customer.coordinates();
        assert_eq!(coordinates.x[14..], vectors::bytes(vectors::CUSTOMER_X));
        assert_eq!(coordinates.y[14..], vectors::bytes(vectors::CUSTOMER_Y));
        assert_eq!(host.shared_secret(&coordinates).unwrap(), customer.shared_secret(&host.public()));
    }

    #[test]
    fn scalars() {
        let host = vectors::host_private().public();
        let mut padded = [0u8; 80];
        padded[15..].copy_from_slice(&vectors::seq::<65>(1));
        assert_eq!(HostPrivateKey::from_scalar(&padded).unwrap().public(), host);
        padded[0] = 1;
        for bad in [&padded[..], &[0; 66], &[0xff; 66], &[], &[0; 81], &[0x02; 66]] {
            assert_eq!(HostPrivateKey::from_scalar(bad).unwrap_err(), KeyError::ScalarRange);
        }
    }

    #[test]
    fn pem_and_sec1() {
        use p521::pkcs8::der::pem::LineEnding;
        let host = HostPrivateKey::from_pem(HOST1).unwrap();
        let sec1 = host.0.to_sec1_pem(LineEnding::LF).unwrap();
        assert_eq!(HostPrivateKey::from_pem(&sec1).unwrap().public(), host.public());
        assert_eq!(HostPrivateKey::from_pem(EC256).unwrap_err(), KeyError::Der);
        assert_eq!(HostPrivateKey::from_pem(RSA).unwrap_err(), KeyError::NotP521);
        assert_eq!(HostPrivateKey::from_pem("x").unwrap_err(), KeyError::Pem);
        assert_eq!(HostPrivateKey::from_pkcs8_der(&[0x30]).unwrap_err(), KeyError::Der);
    }

    #[test]
    fn debug_never_prints_content() {
        assert_eq!(alloc::format!("{:?}", vectors::host_private()), "HostPrivateKey(..)");
        assert_eq!(alloc::format!("{:?}", vectors::customer_pair()), "CustomerKeyPair(..)");
    }
}
