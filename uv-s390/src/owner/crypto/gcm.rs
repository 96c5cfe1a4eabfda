//! AES-256-GCM as all documents use it: 12-byte IV, additional data, tag kept apart, data changed in place.
//!
//! Who uses it: the other modules of the owner.

use thiserror::Error;
use uv_crypto::gcm;

use super::secret_bytes::SecretBytes;

/// Bytes of an initialisation vector.
pub const IV_SIZE: usize = 12;
/// Bytes of an authentication tag.
pub const TAG_SIZE: usize = 16;

/// The tag does not fit the key, IV, additional data and ciphertext. The data was left encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("AES-GCM authentication failed")]
pub struct AuthenticationError;

/// Encrypts `data` in place and returns the tag over `aad` and the ciphertext.
///
/// An IV must never serve twice under one key with different data.
///
/// # Panics
/// If `data` is longer than AES-GCM allows (64 GiB); no format here comes near.
#[must_use]
pub fn seal(key: &SecretBytes<32>, iv: &[u8; IV_SIZE], aad: &[u8], data: &mut [u8]) -> [u8; TAG_SIZE] {
    gcm::seal(key.expose(), iv, aad, data).expect("documents are far shorter than the limit of AES-GCM")
}

/// Checks the tag over `aad` and the ciphertext in `data`, then decrypts `data` in place.
///
/// # Errors
/// [`AuthenticationError`] if anything was changed; `data` then still holds the ciphertext.
pub fn open(
    key: &SecretBytes<32>,
    iv: &[u8; IV_SIZE],
    aad: &[u8],
    data: &mut [u8],
    tag: &[u8; TAG_SIZE],
) -> Result<(), AuthenticationError> {
    gcm::open(key.expose(), iv, aad, data, tag).map_err(|_| AuthenticationError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_bit_anywhere_is_refused_and_nothing_is_decrypted() {
        let key = SecretBytes::new([3; 32]);
        let (iv, aad, plain) = ([9; 12], [1u8, 2, 3], [5u8; 20]);
        let mut data = plain;
        let tag = seal(&key, &iv, &aad, &mut data);
        let cipher = data;
        for bit in 0..(3 + 20 + 16) * 8 {
            let (mut a, mut d, mut t) = (aad, cipher, tag);
            let mask = 1u8 << (bit % 8);
            match bit / 8 {
                byte @ 0..3 => a[byte] ^= mask,
                byte @ 3..23 => d[byte - 3] ^= mask,
                byte => t[byte - 23] ^= mask,
            }
            let before = d;
            assert_eq!(open(&key, &iv, &a, &mut d, &t), Err(AuthenticationError));
            assert_eq!(d, before);
        }
        open(&key, &iv, &aad, &mut data, &tag).unwrap();
        assert_eq!(data, plain);
    }
}
