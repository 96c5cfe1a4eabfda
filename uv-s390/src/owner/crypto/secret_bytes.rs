//! Byte strings that must not leak: wiped on drop, never printed, compared in constant time.

use core::fmt;

use rand_core::CryptoRng;
use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::error::BadLength;

/// A secret of `N` bytes.
///
/// The content is overwritten when the value is dropped; `Debug` prints the length only; `==` takes the same
/// time whatever the content is.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SecretBytes<const N: usize>([u8; N]);

/// The key of one header or request (32 bytes, AES-256-GCM); the same key sits in all slots of the document.
pub type RequestKey = SecretBytes<32>;
/// AES-256-XTS key of guest pages (64 bytes): data key, then tweak key.
pub type PageKey = SecretBytes<64>;
/// HMAC-SHA-512 key of an attestation (64 bytes).
pub type MeasurementKey = SecretBytes<64>;
/// ECDH result: x coordinate of the product, always 66 bytes with leading zeros kept.
pub type SharedSecret = SecretBytes<66>;

impl<const N: usize> SecretBytes<N> {
    /// Takes the bytes over.
    #[must_use]
    pub const fn new(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// Draws `N` random bytes.
    pub fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut secret = Self([0; N]);
        rng.fill_bytes(&mut secret.0);
        secret
    }

    /// Copies a slice, for example the content of a raw key file.
    ///
    /// # Errors
    /// [`BadLength`] unless the slice has exactly `N` bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, BadLength> {
        bytes.try_into().map(Self).map_err(|_| BadLength { expected: N, actual: bytes.len() })
    }

    /// The bytes themselves. Named so that every use can be found.
    #[must_use]
    pub const fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// The bytes, to be filled in place.
    pub const fn expose_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }
}

impl<const N: usize> Default for SecretBytes<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> ConstantTimeEq for SecretBytes<N> {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl<const N: usize> PartialEq for SecretBytes<N> {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl<const N: usize> Eq for SecretBytes<N> {}

impl<const N: usize> From<[u8; N]> for SecretBytes<N> {
    fn from(bytes: [u8; N]) -> Self {
        Self(bytes)
    }
}

impl<const N: usize> fmt::Debug for SecretBytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretBytes({N} bytes)")
    }
}

/// Customer communication key (CCK), 32 bytes: shared by the guest owner and the Ultravisor through the encrypted
/// area of the SE header. Root of the dump key and of the derived extension secret. Its file form is the raw bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Cck(SecretBytes<32>);

impl Cck {
    /// Takes the bytes over.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(SecretBytes::new(bytes))
    }

    /// Draws a random key.
    pub fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self(SecretBytes::random(rng))
    }

    /// Reads a raw key file's content.
    ///
    /// # Errors
    /// [`BadLength`] unless the slice has exactly 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, BadLength> {
        SecretBytes::from_slice(bytes).map(Self)
    }

    /// The bytes themselves.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }
}

impl From<SecretBytes<32>> for Cck {
    fn from(bytes: SecretBytes<32>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Cck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cck(..)")
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn debug_never_prints_content() {
        assert_eq!(format!("{:?}", SecretBytes::new([0xabu8; 4])), "SecretBytes(4 bytes)");
        assert_eq!(format!("{:?}", Cck::new([0xab; 32])), "Cck(..)");
    }

    #[test]
    fn only_the_exact_length_is_taken() {
        assert_eq!(Cck::from_slice(&[1; 32]).unwrap(), Cck::new([1; 32]));
        for length in [0, 31, 33] {
            let bytes = [0u8; 33];
            assert_eq!(Cck::from_slice(&bytes[..length]).unwrap_err(), BadLength { expected: 32, actual: length });
        }
    }
}
