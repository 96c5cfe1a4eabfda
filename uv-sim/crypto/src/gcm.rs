//! AES-GCM (NIST SP 800-38D): of pages by [`GcmKey`] (12-byte IV, detached 16-byte tag), of messages of any length by [`seal`] and [`open`].
//!
//! Key stream and hash come from the cipher's and the hash's own crates; only their order is made here: a whole page of key
//! stream in runs of 64 blocks, then the hash over the page while it is in the cache. Against the ready-made mode of
//! the `aes-gcm` crate this is measured in `benches/page_crypto.rs`.

mod message;
mod stream;
#[cfg(test)]
mod tests;

use core::fmt;

use aes::{Aes128Enc, Aes256Enc};
use cipher::array::Array;
use cipher::consts::U16;
use cipher::{BlockCipherEncrypt, BlockSizeUser, KeyInit};
use ghash::GHash;
use ghash::universal_hash::UniversalHash;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::block::{Block, Row, count_up, wipe, xor};
use super::digest::equal;
use super::error::{check_batch, check_count};
use super::{BATCH, CryptoError, FailedPages, TAG_BYTES};
pub use message::{GcmError, SHORTEST_TAG, open, seal};
use stream::KeyStream;

/// Bytes of an IV (12).
pub const IV_BYTES: usize = 12;

/// Longest page in bytes (16 MiB; the mode would allow 64 GiB).
const PAGE_LIMIT: usize = 16 << 20;

/// An AES-GCM key with expanded schedule and hash key, wiped on drop; `Debug` shows nothing.
///
/// Used through [`Gcm128Key`] and [`Gcm256Key`].
///
/// ```
/// use uv_crypto::Gcm128Key;
///
/// let key = Gcm128Key::new(&[3; 16]);
/// let (page, mut sealed, mut opened) = ([0x5a_u8; 4096], [0_u8; 4096], [0_u8; 4096]);
/// let mut tag = [[0; 16]];
/// key.seal_pages(&[[1; 12]], &[b""], &[&page], &mut [&mut sealed], &mut tag)?;
/// let failed = key.open_pages(&[[1; 12]], &[b""], &[&sealed], &mut [&mut opened], &tag)?;
/// assert!(failed.is_none());
/// assert_eq!(page, opened);
/// # Ok::<(), uv_crypto::CryptoError>(())
/// ```
pub struct GcmKey<C> {
    cipher: C,
    hash: GHash,
}

/// AES-128-GCM, key of 16 bytes.
pub type Gcm128Key = GcmKey<Aes128Enc>;

/// AES-256-GCM, key of 32 bytes.
pub type Gcm256Key = GcmKey<Aes256Enc>;

impl<C: ZeroizeOnDrop> ZeroizeOnDrop for GcmKey<C> {}

impl<C> fmt::Debug for GcmKey<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GcmKey(..)")
    }
}

impl Gcm128Key {
    /// Expands `key`.
    #[must_use]
    pub fn new(key: &[u8; 16]) -> Self {
        Self::expand(Array::cast_from_core(key))
    }
}

impl Gcm256Key {
    /// Expands `key`.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self::expand(Array::cast_from_core(key))
    }
}

impl<C> GcmKey<C>
where
    C: BlockSizeUser<BlockSize = U16> + BlockCipherEncrypt + KeyInit,
{
    fn expand(key: &Array<u8, C::KeySize>) -> Self {
        let cipher = C::new(key);
        let mut hash_key = Block::default();
        cipher.encrypt_block(&mut hash_key);
        let hash = GHash::new(&hash_key);
        hash_key.zeroize();
        Self { cipher, hash }
    }

    /// Seals up to [`BATCH`] pages from `src` into `dst` and writes their tags.
    ///
    /// All lists have one entry for each page; `aads` are additional data of any length. An IV must never be used twice
    /// under one key with different contents.
    ///
    /// # Errors
    /// [`CryptoError::TooManyPages`], [`CryptoError::CountMismatch`], [`CryptoError::LengthMismatch`] or
    /// [`CryptoError::PageLength`]; nothing is written then.
    pub fn seal_pages(
        &self,
        ivs: &[[u8; IV_BYTES]],
        aads: &[&[u8]],
        src: &[&[u8]],
        dst: &mut [&mut [u8]],
        tags: &mut [[u8; TAG_BYTES]],
    ) -> Result<(), CryptoError> {
        check(ivs, aads, src, dst, tags.len())?;
        let mut masks = self.masks(ivs);
        for (index, tag) in tags.iter_mut().enumerate() {
            self.cipher_page(&ivs[index], src[index], dst[index]);
            *tag = self.tag(aads[index], dst[index], &masks[index]);
        }
        wipe(&mut masks);
        Ok(())
    }

    /// Opens up to [`BATCH`] pages from `src` into `dst`.
    ///
    /// The tag is compared in constant time before anything is decrypted; a page whose tag does not match is named in the
    /// result and its destination is zeroed.
    ///
    /// # Errors
    /// As [`seal_pages`](Self::seal_pages); nothing is written then.
    pub fn open_pages(
        &self,
        ivs: &[[u8; IV_BYTES]],
        aads: &[&[u8]],
        src: &[&[u8]],
        dst: &mut [&mut [u8]],
        tags: &[[u8; TAG_BYTES]],
    ) -> Result<FailedPages, CryptoError> {
        check(ivs, aads, src, dst, tags.len())?;
        let mut masks = self.masks(ivs);
        let mut failed = FailedPages::NONE;
        for (index, tag) in tags.iter().enumerate() {
            let mut expected = self.tag(aads[index], src[index], &masks[index]);
            if equal(tag, &expected) {
                self.cipher_page(&ivs[index], src[index], dst[index]);
            } else {
                dst[index].fill(0);
                failed.mark(index);
            }
            expected.zeroize();
        }
        wipe(&mut masks);
        Ok(failed)
    }

    /// The ciphered first counter block of each page, which masks its tag.
    fn masks(&self, ivs: &[[u8; IV_BYTES]]) -> Row {
        let mut masks = [Block::default(); BATCH];
        for (mask, iv) in masks.iter_mut().zip(ivs) {
            count_up(core::slice::from_mut(mask), &counter_zero(iv), 1);
        }
        self.cipher.encrypt_blocks(&mut masks[..ivs.len()]);
        masks
    }

    /// XORs the key stream of `iv`, from counter 2 on, into `src`, giving `dst`.
    fn cipher_page(&self, iv: &[u8; IV_BYTES], src: &[u8], dst: &mut [u8]) {
        let (src, _) = Array::slice_as_chunks(src);
        let (dst, _) = Array::slice_as_chunks_mut(dst);
        self.cipher_blocks(&counter_zero(iv), 2, src, dst);
    }

    /// XORs the key stream of the counter block `zero` from the counter `first` on into `src`, giving `dst`.
    fn cipher_blocks(&self, zero: &Block, first: u32, src: &[Block], dst: &mut [Block]) {
        self.cipher.encrypt_with_backend(KeyStream { zero: *zero, first, src, dst });
    }

    /// The tag over additional data and ciphertext.
    fn tag(&self, aad: &[u8], sealed: &[u8], mask: &Block) -> [u8; TAG_BYTES] {
        let mut hash = self.hash.clone();
        hash.update_padded(aad);
        let (blocks, rest) = Array::slice_as_chunks(sealed);
        hash.update(blocks);
        hash.update_padded(rest);
        // Slice lengths are below 2^61, so their bits have room in 64.
        let bits = |bytes: &[u8]| u128::from(u64::try_from(bytes.len()).unwrap_or(u64::MAX) << 3);
        hash.update(&[Array((bits(aad) << 64 | bits(sealed)).to_be_bytes())]);
        let mut tag = hash.finalize();
        xor(core::slice::from_mut(&mut tag), core::slice::from_ref(mask));
        tag.0
    }
}

fn check(
    ivs: &[[u8; IV_BYTES]],
    aads: &[&[u8]],
    src: &[&[u8]],
    dst: &[&mut [u8]],
    tags: usize,
) -> Result<(), CryptoError> {
    check_batch(src, dst, PAGE_LIMIT)?;
    check_count(src.len(), ivs.len())?;
    check_count(src.len(), aads.len())?;
    check_count(src.len(), tags)
}

/// The counter block of `iv` at counter 0.
fn counter_zero(iv: &[u8; IV_BYTES]) -> Block {
    let mut block = Block::default();
    block[..IV_BYTES].copy_from_slice(iv);
    block
}
