//! RSA keys of guest owners and machines (power-pef §12.3).
//!
//! Who uses it: the owner's tools; a machine without a TPM.
//!
//! A real machine keeps its private half in a TPM; a software model uses a plain RSA key with the same wrap format
//! (§13). Keys of any length from 1024 to 8192 bits are read; 2048 bits are generated.

mod encrypted;
mod pem;

#[cfg(feature = "sim")]
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use rand_core::CryptoRng;
use rsa::pkcs1::{DecodeRsaPrivateKey as _, DecodeRsaPublicKey as _, EncodeRsaPrivateKey as _};
use rsa::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _, EncodePublicKey as _, LineEnding};
#[cfg(feature = "sim")]
use rsa::{BoxedUint, traits::PublicKeyParts as _};
use rsa::{Oaep, RsaPrivateKey, RsaPublicKey};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use self::pem::Pem;

/// Bits of a generated key.
const GENERATED_BITS: usize = 2048;

/// Why a key cannot be read or used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No PEM block, or a broken one.
    #[error("not a PEM file")]
    NotPem,
    /// A private key where a public one belongs.
    #[error("this is a private key, a public one is needed")]
    PrivateGiven,
    /// A public key where a private one belongs.
    #[error("this is a public key, a private one is needed")]
    PublicGiven,
    /// A PEM block that holds no RSA key.
    #[error("not an RSA key in a known PEM form")]
    NotRsa,
    /// The key's numbers do not make an RSA key of 1024 to 8192 bits.
    #[error("not a valid RSA key")]
    Malformed,
    /// The key is encrypted and no pass phrase was given.
    #[error("the key is encrypted and needs a pass phrase")]
    PassphraseNeeded,
    /// The pass phrase is wrong, or the file is damaged.
    #[error("the pass phrase does not open the key")]
    WrongPassphrase,
    /// Encrypted in a way that is neither DES-EDE3-CBC or AES-CBC in PKCS#1 PEM form nor PKCS#8 with PBES2, or one
    /// that asks for an absurd amount of work.
    #[error(
        "the key is encrypted in an unsupported way (supported: PKCS#1 PEM with DES-EDE3-CBC or AES-CBC, PKCS#8 with PBES2)"
    )]
    UnsupportedEncryption,
    /// The wrapped data cannot be opened with this key.
    #[error("cannot be unwrapped with this key")]
    Unwrap,
    /// The data is too long to be wrapped for this key.
    #[error("cannot be wrapped for this key")]
    Wrap,
}

/// SHA-256 that names a public key in a blob.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// The public half of an owner's or a machine's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    key: RsaPublicKey,
    canonical: Fingerprint,
    as_given: Fingerprint,
}

impl PublicKey {
    /// Reads `BEGIN PUBLIC KEY` (`SubjectPublicKeyInfo`) or `BEGIN RSA PUBLIC KEY` (PKCS#1).
    ///
    /// # Errors
    /// [`KeyError::NotPem`], [`KeyError::PrivateGiven`], [`KeyError::NotRsa`], [`KeyError::Malformed`].
    pub fn from_pem(file: &[u8]) -> Result<Self, KeyError> {
        let pem = Pem::find(file)?;
        let key = match pem.label {
            "PUBLIC KEY" => RsaPublicKey::from_public_key_der(&pem.decode()?).map_err(|_| KeyError::Malformed)?,
            "RSA PUBLIC KEY" => RsaPublicKey::from_pkcs1_der(&pem.decode()?).map_err(|_| KeyError::Malformed)?,
            label if label.ends_with("PRIVATE KEY") => return Err(KeyError::PrivateGiven),
            _ => return Err(KeyError::NotRsa),
        };
        Self::new(key, Some(file))
    }

    fn new(key: RsaPublicKey, file: Option<&[u8]>) -> Result<Self, KeyError> {
        let canonical = Fingerprint(Sha256::digest(to_pem(&key)?).into());
        let as_given = file.map_or(canonical, |file| Fingerprint(Sha256::digest(file).into()));
        Ok(Self { key, canonical, as_given })
    }

    /// The fingerprint that is stored in a lockbox for this key.
    ///
    /// It covers the key's PEM form of 64-character lines with one newline at the end, whatever form the file had
    /// that it was read from: only that form is found again when the private half opens the blob.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.canonical
    }

    /// True if `stored` names this key: by [`PublicKey::fingerprint`], or by the very bytes of the file that was
    /// read, which is what other tools store.
    #[must_use]
    pub fn is_named_by(&self, stored: &[u8]) -> bool {
        stored == self.canonical.0 || stored == self.as_given.0
    }

    /// The `SubjectPublicKeyInfo` PEM, 64-character lines and a newline at the end.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] if the key cannot be encoded.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        to_pem(&self.key)
    }

    /// Modulus, big endian, and exponent; 0 for an exponent of more than 32 bits.
    #[cfg(feature = "sim")]
    pub(crate) fn numbers(&self) -> (Box<[u8]>, u32) {
        let exponent =
            self.key.e_bytes().iter().try_fold(0_u32, |e, byte| e.checked_mul(256)?.checked_add((*byte).into()));
        (self.key.n_bytes(), exponent.unwrap_or(0))
    }

    /// The key of this modulus and exponent.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] when they make no key.
    #[cfg(feature = "sim")]
    pub(crate) fn from_numbers(modulus: &[u8], exponent: u32) -> Result<Self, KeyError> {
        let key = RsaPublicKey::new(BoxedUint::from_be_slice_vartime(modulus), BoxedUint::from(exponent));
        Self::new(key.map_err(|_| KeyError::Malformed)?, None)
    }

    /// RSA-OAEP with SHA-256, MGF1 SHA-256 and an empty label.
    ///
    /// # Errors
    /// [`KeyError::Wrap`] if `secret` is longer than the key allows (190 bytes for 2048 bits).
    pub fn wrap<R: CryptoRng + ?Sized>(&self, secret: &[u8], rng: &mut R) -> Result<Vec<u8>, KeyError> {
        self.key.encrypt(rng, Oaep::<Sha256>::new(), secret).map_err(|_| KeyError::Wrap)
    }
}

fn to_pem(key: &RsaPublicKey) -> Result<String, KeyError> {
    key.to_public_key_pem(LineEnding::LF).map_err(|_| KeyError::Malformed)
}

/// The private half of an owner's or a machine's key. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct PrivateKey {
    key: RsaPrivateKey,
    public: PublicKey,
}

impl PrivateKey {
    /// A new key of 2048 bits with the exponent 65537.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] if no key could be made.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Result<Self, KeyError> {
        Self::new(RsaPrivateKey::new(rng, GENERATED_BITS).map_err(|_| KeyError::Malformed)?)
    }

    fn new(key: RsaPrivateKey) -> Result<Self, KeyError> {
        let public = PublicKey::new(key.to_public_key(), None)?;
        Ok(Self { key, public })
    }

    /// Reads PKCS#1 (`BEGIN RSA PRIVATE KEY`, plain or with `Proc-Type: 4,ENCRYPTED`) or PKCS#8
    /// (`BEGIN PRIVATE KEY`, `BEGIN ENCRYPTED PRIVATE KEY`). `passphrase` is only looked at when the file is encrypted.
    ///
    /// # Errors
    /// Every variant of [`KeyError`] but the last two; [`KeyError::PassphraseNeeded`] asks the caller for one.
    pub fn from_pem(file: &[u8], passphrase: Option<&[u8]>) -> Result<Self, KeyError> {
        let pem = Pem::find(file)?;
        match pem.label {
            "RSA PRIVATE KEY" => {
                let der = match pem.encryption()? {
                    None => Zeroizing::new(pem.decode()?),
                    Some(how) => {
                        let passphrase = passphrase.ok_or(KeyError::PassphraseNeeded)?;
                        how.decrypt(&pem.decode()?, passphrase)?
                    }
                };
                let failure = if pem.encryption()?.is_some() { KeyError::WrongPassphrase } else { KeyError::Malformed };
                Self::new(RsaPrivateKey::from_pkcs1_der(&der).map_err(|_| failure)?)
            }
            "PRIVATE KEY" => {
                let der = Zeroizing::new(pem.decode()?);
                Self::new(RsaPrivateKey::from_pkcs8_der(&der).map_err(|_| KeyError::Malformed)?)
            }
            "ENCRYPTED PRIVATE KEY" => {
                let passphrase = passphrase.ok_or(KeyError::PassphraseNeeded)?;
                let der = encrypted::decrypt_pkcs8(&pem.decode()?, passphrase)?;
                Self::new(RsaPrivateKey::from_pkcs8_der(&der).map_err(|_| KeyError::WrongPassphrase)?)
            }
            label if label.ends_with("PUBLIC KEY") => Err(KeyError::PublicGiven),
            _ => Err(KeyError::NotRsa),
        }
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The key as plain PKCS#1 PEM: a secret.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] if the key cannot be encoded.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        self.key.to_pkcs1_pem(LineEnding::LF).map_err(|_| KeyError::Malformed)
    }

    /// Undoes [`PublicKey::wrap`].
    ///
    /// # Errors
    /// [`KeyError::Unwrap`], whatever was wrong.
    pub fn unwrap(&self, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        self.key.decrypt(Oaep::<Sha256>::new(), wrapped).map(Zeroizing::new).map_err(|_| KeyError::Unwrap)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(.., {:?})", self.public.canonical)
    }
}

#[cfg(test)]
mod tests;
