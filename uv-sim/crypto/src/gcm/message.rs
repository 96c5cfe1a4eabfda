//! AES-GCM of messages: what documents and blobs seal. Any length of data, IVs of any length but 0, tags of 4 to 16 bytes, keys
//! of 16, 24 or 32 bytes; all of these are data of the document and are judged here.

use aes::{Aes128Enc, Aes192Enc, Aes256Enc};
use cipher::array::Array;
use cipher::consts::U16;
use cipher::{BlockCipherEncrypt, BlockSizeUser, KeyInit};
use ghash::universal_hash::UniversalHash;
use zeroize::Zeroize;

use super::super::block::{Block, STRIPE, wipe};
use super::super::digest::equal;
use super::super::{BLOCK_BYTES, TAG_BYTES};
use super::{GcmKey, IV_BYTES};

/// Shortest tag that is looked at, in bytes.
pub const SHORTEST_TAG: usize = 4;

/// Most bytes of a message: one block less than 32 bits of counter reach.
const LIMIT: u64 = (u32::MAX as u64 - 1) * 16;

/// Why a message was not sealed or opened. It is as it was then.
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
    /// More than the mode allows (64 GiB).
    #[error("a message of {0} bytes is longer than AES-GCM allows")]
    TooLong(usize),
    /// The data is not what was sealed with this key, iv and additional data.
    #[error("the tag does not match: wrong key or changed data")]
    TagMismatch,
}

/// Encrypts `data` in place and gives the full tag over `aad` and the ciphertext.
///
/// An IV must never be used twice under one key with different contents.
///
/// # Errors
/// [`GcmError::KeyLength`], [`GcmError::EmptyIv`], [`GcmError::TooLong`].
///
/// ```
/// use uv_crypto::gcm;
///
/// let mut data = *b"a message of any length";
/// let tag = gcm::seal(&[7; 32], &[1; 12], b"head", &mut data)?;
/// gcm::open(&[7; 32], &[1; 12], b"head", &mut data, &tag)?;
/// assert_eq!(data, *b"a message of any length");
/// # Ok::<(), gcm::GcmError>(())
/// ```
pub fn seal(key: &[u8], iv: &[u8], aad: &[u8], data: &mut [u8]) -> Result<[u8; TAG_BYTES], GcmError> {
    with_key(key, iv, aad, data, None)
}

/// Checks `tag`, in constant time and against the front of the full tag, then decrypts `data` in place.
///
/// # Errors
/// Every variant of [`GcmError`]; `data` then still holds the ciphertext.
pub fn open(key: &[u8], iv: &[u8], aad: &[u8], data: &mut [u8], tag: &[u8]) -> Result<(), GcmError> {
    if !(SHORTEST_TAG..=TAG_BYTES).contains(&tag.len()) {
        return Err(GcmError::TagLength(tag.len()));
    }
    with_key(key, iv, aad, data, Some(tag)).map(|mut full| full.zeroize())
}

/// Seals, or opens when there is a tag to compare; gives the full tag.
fn with_key(
    key: &[u8],
    iv: &[u8],
    aad: &[u8],
    data: &mut [u8],
    tag: Option<&[u8]>,
) -> Result<[u8; TAG_BYTES], GcmError> {
    if iv.is_empty() {
        return Err(GcmError::EmptyIv);
    }
    if u64::try_from(data.len()).is_ok_and(|len| len > LIMIT) {
        return Err(GcmError::TooLong(data.len()));
    }
    match key.len() {
        16 => run::<Aes128Enc>(key, iv, aad, data, tag),
        24 => run::<Aes192Enc>(key, iv, aad, data, tag),
        32 => run::<Aes256Enc>(key, iv, aad, data, tag),
        other => Err(GcmError::KeyLength(other)),
    }
}

fn run<C>(key: &[u8], iv: &[u8], aad: &[u8], data: &mut [u8], tag: Option<&[u8]>) -> Result<[u8; TAG_BYTES], GcmError>
where
    C: BlockSizeUser<BlockSize = U16> + BlockCipherEncrypt + KeyInit,
{
    let key: &Array<u8, C::KeySize> = key.try_into().map_err(|_| GcmError::KeyLength(key.len()))?;
    let key = GcmKey::<C>::expand(key);
    let start = key.start(iv);
    let mut mask = start;
    key.cipher.encrypt_block(&mut mask);
    let full = match tag {
        None => {
            key.cipher_message(&start, data);
            key.tag(aad, data, &mask)
        }
        Some(tag) => {
            let mut full = key.tag(aad, data, &mask);
            if !equal(&full[..tag.len()], tag) {
                full.zeroize();
                mask.zeroize();
                return Err(GcmError::TagMismatch);
            }
            key.cipher_message(&start, data);
            full
        }
    };
    mask.zeroize();
    Ok(full)
}

impl<C> GcmKey<C>
where
    C: BlockSizeUser<BlockSize = U16> + BlockCipherEncrypt + KeyInit,
{
    /// The first counter block: the iv and a counter of 1 for 12 bytes, the hash of the iv for every other length.
    fn start(&self, iv: &[u8]) -> Block {
        if iv.len() == IV_BYTES {
            let mut block = Block::default();
            block[..IV_BYTES].copy_from_slice(iv);
            block[BLOCK_BYTES - 1] = 1;
            return block;
        }
        let mut hash = self.hash.clone();
        hash.update_padded(iv);
        let bits = u128::from(u64::try_from(iv.len()).unwrap_or(u64::MAX) << 3);
        hash.update(&[Array(bits.to_be_bytes())]);
        hash.finalize()
    }

    /// XORs the key stream behind the first counter block into `data`.
    fn cipher_message(&self, start: &Block, data: &mut [u8]) {
        let [front @ .., a, b, c, d] = start.0;
        let mut zero = Block::default();
        zero[..front.len()].copy_from_slice(&front);
        let mut counter = u32::from_be_bytes([a, b, c, d]).wrapping_add(1);
        let (mut from, mut to) = ([Block::default(); STRIPE], [Block::default(); STRIPE]);
        for piece in data.chunks_mut(STRIPE * BLOCK_BYTES) {
            let blocks = piece.len().div_ceil(BLOCK_BYTES);
            Array::cast_slice_to_core_mut(&mut from).as_flattened_mut()[..piece.len()].copy_from_slice(piece);
            self.cipher_blocks(&zero, counter, &from[..blocks], &mut to[..blocks]);
            piece.copy_from_slice(&Array::cast_slice_to_core(&to).as_flattened()[..piece.len()]);
            counter = counter.wrapping_add(64);
        }
        wipe(&mut from);
        wipe(&mut to);
    }
}

#[cfg(test)]
mod tests {
    use aes_gcm::AesGcm;
    use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
    use alloc::vec;
    use alloc::vec::Vec;
    use cipher::array::ArraySize;
    use cipher::consts::{U1, U8, U12, U13, U16, U60};

    use super::*;

    const LENGTHS: [usize; 9] = [0, 1, 15, 16, 17, 500, 1023, 1024, 3001];

    fn sealed(key: &[u8], iv: &[u8], aad: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut data = plain.to_vec();
        let tag = seal(key, iv, aad, &mut data).unwrap();
        let ciphertext = data.clone();
        open(key, iv, aad, &mut data, &tag).unwrap();
        assert_eq!(data, plain);
        [ciphertext.as_slice(), &tag].concat()
    }

    /// Holds one iv length against the `aes-gcm` crate, for data lengths around a block and around a stripe.
    fn agrees<N: ArraySize>() {
        let iv = Array::<u8, N>::from_fn(|at| u8::try_from(at).unwrap() ^ 0xf1);
        for length in LENGTHS {
            let plain: Vec<u8> = (0..=250).cycle().take(length).collect();
            for aad in [&b""[..], b"seventeen bytes..", &[9; 64]] {
                let payload = || Payload { msg: &plain, aad };
                let key = [0x5a; 32];
                let theirs = AesGcm::<aes::Aes256, N>::new(&key.into()).encrypt(&iv, payload()).unwrap();
                assert_eq!(sealed(&key, &iv, aad, &plain), theirs);
                let theirs = AesGcm::<aes::Aes192, N>::new_from_slice(&key[..24]).unwrap().encrypt(&iv, payload());
                assert_eq!(sealed(&key[..24], &iv, aad, &plain), theirs.unwrap());
                let theirs = AesGcm::<aes::Aes128, N>::new_from_slice(&key[..16]).unwrap().encrypt(&iv, payload());
                assert_eq!(sealed(&key[..16], &iv, aad, &plain), theirs.unwrap());
            }
        }
    }

    #[test]
    fn agrees_with_the_typed_crate_for_every_kind_of_iv() {
        agrees::<U1>();
        agrees::<U8>();
        agrees::<U12>();
        agrees::<U13>();
        agrees::<U16>();
        agrees::<U60>();
    }

    #[test]
    fn tags_of_4_to_16_bytes_open() {
        let mut sealed = *b"text";
        let tag = seal(&[1; 32], &[2; 16], b"", &mut sealed).unwrap();
        for length in 0..=20 {
            let mut shorter = vec![0; length];
            shorter.iter_mut().zip(tag).for_each(|(to, from)| *to = from);
            let mut data = sealed;
            let result = open(&[1; 32], &[2; 16], b"", &mut data, &shorter);
            if !(4..=16).contains(&length) {
                assert_eq!((result, data), (Err(GcmError::TagLength(length)), sealed));
                continue;
            }
            assert_eq!((result, data), (Ok(()), *b"text"));
            shorter[length - 1] ^= 1;
            data = sealed;
            assert_eq!(open(&[1; 32], &[2; 16], b"", &mut data, &shorter), Err(GcmError::TagMismatch));
            assert_eq!(data, sealed, "nothing is decrypted");
        }
    }

    #[test]
    fn lengths_that_aes_or_gcm_has_not_are_refused() {
        assert_eq!(seal(&[0; 31], &[0; 12], b"", &mut []), Err(GcmError::KeyLength(31)));
        assert_eq!(seal(&[0; 32], &[], b"", &mut []), Err(GcmError::EmptyIv));
        assert_eq!(open(&[], &[0; 12], b"", &mut [], &[0; 16]), Err(GcmError::KeyLength(0)));
        assert!(seal(&[0; 24], &[0; 12], b"", &mut []).is_ok());
    }

    /// The counter that a hashed iv begins with can end: it starts again at 0 and nothing else of the block changes.
    #[test]
    fn the_counter_wraps_in_its_32_bits() {
        let key = GcmKey::<Aes128Enc>::expand(&Array([3; 16]));
        let start = Array([0xff; 16]);
        let mut data = [0; 48];
        key.cipher_message(&start, &mut data);
        for (index, block) in data.chunks(16).enumerate() {
            let mut expected = [0xff; 16];
            expected[12..].copy_from_slice(&u32::try_from(index).unwrap().to_be_bytes());
            let mut expected = Array(expected);
            key.cipher.encrypt_block(&mut expected);
            assert_eq!(block, expected.0);
        }
    }
}
