//! AES-GCM as ESM blobs use it: stored initialisation vectors of any length, tags of 4 to 16 bytes.
//!
//! The `aes-gcm` crate fixes both lengths in the type, but a blob carries them as data (power-pef §13 step 7), so
//! the mode (NIST SP 800-38D) is put together here from the `aes`, `ctr` and `ghash` crates. Tests hold it against `aes-gcm`.

use alloc::vec::Vec;

use aes::{Aes128, Aes192, Aes256};
use cipher::consts::U16;
use cipher::{BlockCipherEncrypt, BlockSizeUser, KeyInit, KeyIvInit, StreamCipher};
use ctr::Ctr32BE;
use ghash::GHash;
use ghash::universal_hash::UniversalHash;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a full tag, the only length that is ever written.
pub const TAG: usize = 16;
/// Bytes of the initialisation vector that is written, as the format's own tool does.
pub const IV: usize = 16;

/// Why sealing or opening failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GcmError {
    /// Not 16, 24 or 32 bytes.
    #[error("a key of {0} bytes is no AES key")]
    KeyLength(usize),
    /// An initialisation vector of no bytes.
    #[error("the iv is empty")]
    EmptyIv,
    /// Not 4 to 16 bytes.
    #[error("a tag of {0} bytes is outside of 4 to 16")]
    TagLength(usize),
    /// The data is not what was sealed with this key and iv.
    #[error("the tag does not match: wrong key or changed data")]
    TagMismatch,
}

/// Encrypts `plaintext` and gives the ciphertext (same length) with its full tag. No additional data.
///
/// # Errors
/// [`GcmError::KeyLength`], [`GcmError::EmptyIv`].
pub fn seal(key: &[u8], iv: &[u8], plaintext: &[u8]) -> Result<(Vec<u8>, [u8; TAG]), GcmError> {
    let mut data = Vec::from(plaintext);
    let tag = with_key(key, iv, &mut data, true)?;
    Ok((data, tag))
}

/// Checks `tag` (4 to 16 bytes, compared with the front of the full tag in constant time), then decrypts.
///
/// # Errors
/// Every variant of [`GcmError`]; no plaintext leaves on a mismatch.
pub fn open(key: &[u8], iv: &[u8], ciphertext: &[u8], tag: &[u8]) -> Result<Zeroizing<Vec<u8>>, GcmError> {
    if !(4..=TAG).contains(&tag.len()) {
        return Err(GcmError::TagLength(tag.len()));
    }
    let mut data = Zeroizing::new(Vec::from(ciphertext));
    let full = with_key(key, iv, &mut data, false)?;
    if bool::from(full[..tag.len()].ct_eq(tag)) { Ok(data) } else { Err(GcmError::TagMismatch) }
}

fn with_key(key: &[u8], iv: &[u8], data: &mut [u8], encrypt: bool) -> Result<[u8; TAG], GcmError> {
    if iv.is_empty() {
        return Err(GcmError::EmptyIv);
    }
    match key.len() {
        16 => run::<Aes128>(key, iv, data, encrypt),
        24 => run::<Aes192>(key, iv, data, encrypt),
        32 => run::<Aes256>(key, iv, data, encrypt),
        other => Err(GcmError::KeyLength(other)),
    }
}

/// One pass: hashes the ciphertext side of `data`, applies the key stream, returns the full tag.
fn run<C>(key: &[u8], iv: &[u8], data: &mut [u8], encrypt: bool) -> Result<[u8; TAG], GcmError>
where
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + KeyInit,
{
    let cipher = C::new_from_slice(key).map_err(|_| GcmError::KeyLength(key.len()))?;
    let mut hash_key = ghash::Key::default();
    cipher.encrypt_block(&mut hash_key);
    let hash = GHash::new(&hash_key);
    hash_key.zeroize();

    let first = first_counter(&hash, iv);
    let stream_key = cipher::Key::<Ctr32BE<C>>::try_from(key).map(Zeroizing::new);
    let stream_key = stream_key.map_err(|_| GcmError::KeyLength(key.len()))?;
    let mut stream = Ctr32BE::<C>::new(&stream_key, &first);
    let mut mask = [0; TAG];
    stream.apply_keystream(&mut mask);

    let mut tag = if encrypt {
        stream.apply_keystream(data);
        hash_lengths(hash, data)
    } else {
        let tag = hash_lengths(hash, data);
        stream.apply_keystream(data);
        tag
    };
    tag.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    mask.zeroize();
    Ok(tag)
}

/// J0: the iv and a counter of 1 for 12 bytes, the hash of the iv for every other length.
fn first_counter(hash: &GHash, iv: &[u8]) -> ghash::Block {
    let mut block = ghash::Block::default();
    if iv.len() == 12 {
        block[..12].copy_from_slice(iv);
        block[15] = 1;
        return block;
    }
    let mut hash = hash.clone();
    hash.update_padded(iv);
    block[8..].copy_from_slice(&bits(iv).to_be_bytes());
    hash.update(&[block]);
    hash.finalize()
}

fn hash_lengths(mut hash: GHash, ciphertext: &[u8]) -> [u8; TAG] {
    hash.update_padded(ciphertext);
    let mut block = ghash::Block::default();
    block[8..].copy_from_slice(&bits(ciphertext).to_be_bytes());
    hash.update(&[block]);
    hash.finalize().into()
}

fn bits(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX).wrapping_mul(8)
}

#[cfg(test)]
mod tests {
    use aes_gcm::AesGcm;
    use aes_gcm::aead::{Aead, KeyInit as _};
    use cipher::array::ArraySize;
    use cipher::consts::{U1, U8, U12, U16, U60};

    use super::{Aes128, Aes256, GcmError, open, seal};

    /// Holds one iv length against the `aes-gcm` crate, for data lengths around a block.
    fn agrees<N: ArraySize>() {
        let (key, iv) = ([0x5a; 32], cipher::array::Array::<u8, N>::from_fn(|at| u8::try_from(at).unwrap()));
        for length in [0, 1, 15, 16, 17, 500] {
            let plain = alloc::vec![0x33; length];
            let (cipher, tag) = seal(&key, &iv, &plain).unwrap();
            let theirs = AesGcm::<Aes256, N>::new(&key.into()).encrypt(&iv, plain.as_slice()).unwrap();
            assert_eq!([cipher.as_slice(), &tag].concat(), theirs);
            assert_eq!(*open(&key, &iv, &cipher, &tag).unwrap(), plain);
            let (cipher, tag) = seal(&key[..16], &iv, &plain).unwrap();
            let theirs =
                AesGcm::<Aes128, N>::new_from_slice(&key[..16]).unwrap().encrypt(&iv, plain.as_slice()).unwrap();
            assert_eq!([cipher.as_slice(), &tag].concat(), theirs);
        }
    }

    #[test]
    fn agrees_with_the_typed_crate_for_every_kind_of_iv() {
        agrees::<U1>();
        agrees::<U8>();
        agrees::<U12>();
        agrees::<U16>();
        agrees::<U60>();
    }

    #[test]
    fn tags_of_4_to_16_bytes_open() {
        let (cipher, tag) = seal(&[1; 32], &[2; 16], b"text").unwrap();
        for length in 0..=TAG_TRIED {
            let mut shorter = alloc::vec![0; length];
            shorter.iter_mut().zip(tag).for_each(|(to, from)| *to = from);
            let result = open(&[1; 32], &[2; 16], &cipher, &shorter);
            if (4..=16).contains(&length) {
                assert_eq!(**result.unwrap(), *b"text");
                shorter[length - 1] ^= 1;
                assert_eq!(open(&[1; 32], &[2; 16], &cipher, &shorter), Err(GcmError::TagMismatch));
            } else {
                assert_eq!(result, Err(GcmError::TagLength(length)));
            }
        }
    }
    const TAG_TRIED: usize = 20;

    #[test]
    fn lengths_that_aes_or_gcm_has_not_are_refused() {
        assert_eq!(seal(&[0; 31], &[0; 12], b""), Err(GcmError::KeyLength(31)));
        assert_eq!(seal(&[0; 32], &[], b""), Err(GcmError::EmptyIv));
        assert_eq!(open(&[0; 0], &[0; 12], b"", &[0; 16]), Err(GcmError::KeyLength(0)));
        assert!(seal(&[0; 24], &[0; 12], b"").is_ok());
    }
}
