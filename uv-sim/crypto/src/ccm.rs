//! AES-256-CCM (NIST SP 800-38C) over many pages side by side.
//!
//! The CBC-MAC of one page is a chain: each block waits for the one before. Chains of different pages do not wait for each
//! other, so the chains of up to 8 pages go through the cipher side by side; the key stream of each page is made in long
//! runs. A call takes up to [`BATCH`] pages.
//!
//! Parameters are fixed: nonce 12 bytes, length field 3 bytes (q = 3, so pages of up to 16 MiB - 16 bytes), tag 16
//! bytes, additional data 0 to 32 bytes of the same length for all pages of a call.

mod lanes;
#[cfg(test)]
mod tests;

use core::{array, fmt};

use aes::Aes256Enc;
use cipher::array::Array;
use cipher::{BlockCipherEncrypt, KeyInit};
use rand_core::CryptoRng;
use uv_kernels::{CcmBatch, Direction};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::block::{Block, Row, wipe};
use super::digest::equal;
use super::error::{check_batch, check_count};
use super::{BATCH, CryptoError, FailedPages, TAG_BYTES};
use lanes::Pass;

/// Bytes of a nonce (12).
pub const NONCE_BYTES: usize = 12;

/// The most bytes of additional data (32).
pub const AAD_LIMIT: usize = 32;

/// Longest page in bytes: the length field has 24 bits.
const PAGE_LIMIT: usize = (1 << 24) - 16;

/// Blocks in front of the payload: B0, then 2 bytes of length and up to 32 bytes of additional data.
const HEADER_ROWS: usize = 1 + (2 + AAD_LIMIT).div_ceil(16);

/// An AES-256-CCM key with its expanded schedule, wiped on drop; `Debug` shows nothing.
///
/// ```
/// use uv_crypto::CcmKey;
///
/// let key = CcmKey::new(&[3; 32]);
/// let (page, mut sealed, mut opened) = ([0x5a_u8; 4096], [0_u8; 4096], [0_u8; 4096]);
/// let mut tag = [[0; 16]];
/// key.seal_pages(&[[1; 12]], &[*b"frame 7"], &[&page], &mut [&mut sealed], &mut tag)?;
/// let failed = key.open_pages(&[[1; 12]], &[*b"frame 7"], &[&sealed], &mut [&mut opened], &tag)?;
/// assert!(failed.is_none());
/// assert_eq!(page, opened);
///
/// let failed = key.open_pages(&[[1; 12]], &[*b"frame 8"], &[&sealed], &mut [&mut opened], &tag)?;
/// assert_eq!(failed.bits(), 1);
/// assert_eq!(opened, [0; 4096]);
/// # Ok::<(), uv_crypto::CryptoError>(())
/// ```
pub struct CcmKey {
    cipher: Aes256Enc,
    /// Takes the place of `cipher` where processor and page length allow it.
    kernel: Option<uv_kernels::Ccm>,
}

impl ZeroizeOnDrop for CcmKey {}

impl fmt::Debug for CcmKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CcmKey(..)")
    }
}

impl CcmKey {
    /// Bytes of a key (32).
    pub const BYTES: usize = 32;

    /// Expands `key`.
    #[must_use]
    pub fn new(key: &[u8; Self::BYTES]) -> Self {
        Self { kernel: uv_kernels::Ccm::new(key), ..Self::without_kernel(key) }
    }

    /// The same over `aes` alone: what processors without the kernel's units have.
    fn without_kernel(key: &[u8; Self::BYTES]) -> Self {
        Self { cipher: Aes256Enc::new(Array::cast_from_core(key)), kernel: None }
    }

    /// Draws a fresh key.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut key = Zeroizing::new([0; Self::BYTES]);
        rng.fill_bytes(key.as_mut());
        Self::new(&key)
    }

    /// Seals up to [`BATCH`] pages from `src` into `dst` and writes their tags.
    ///
    /// All lists have one entry for each page. `A` is the length of the additional data, 0 to 32 bytes (checked at compile
    /// time). A nonce must never be used twice under one key with different contents.
    ///
    /// # Errors
    /// [`CryptoError::TooManyPages`], [`CryptoError::CountMismatch`], [`CryptoError::LengthMismatch`] or
    /// [`CryptoError::PageLength`]; nothing is written then.
    pub fn seal_pages<const A: usize>(
        &self,
        nonces: &[[u8; NONCE_BYTES]],
        aads: &[[u8; A]],
        src: &[&[u8]],
        dst: &mut [&mut [u8]],
        tags: &mut [[u8; TAG_BYTES]],
    ) -> Result<(), CryptoError> {
        let page_bytes = check_batch(src, dst, PAGE_LIMIT)?;
        check_count(src.len(), nonces.len())?;
        check_count(src.len(), aads.len())?;
        check_count(src.len(), tags.len())?;
        let mut sums = self.run(Direction::Seal, page_bytes, nonces, aads, src, dst);
        for (tag, sum) in tags.iter_mut().zip(&sums) {
            *tag = sum.0;
        }
        wipe(&mut sums);
        Ok(())
    }

    /// Opens up to [`BATCH`] pages from `src` into `dst`.
    ///
    /// Lists and lengths as in [`seal_pages`](Self::seal_pages). Tags are compared in constant time; a page whose tag does
    /// not match is named in the result and its destination is zeroed before this function returns.
    ///
    /// # Errors
    /// As [`seal_pages`](Self::seal_pages); nothing is written then.
    pub fn open_pages<const A: usize>(
        &self,
        nonces: &[[u8; NONCE_BYTES]],
        aads: &[[u8; A]],
        src: &[&[u8]],
        dst: &mut [&mut [u8]],
        tags: &[[u8; TAG_BYTES]],
    ) -> Result<FailedPages, CryptoError> {
        let page_bytes = check_batch(src, dst, PAGE_LIMIT)?;
        check_count(src.len(), nonces.len())?;
        check_count(src.len(), aads.len())?;
        check_count(src.len(), tags.len())?;
        let mut sums = self.run(Direction::Open, page_bytes, nonces, aads, src, dst);
        let mut failed = FailedPages::NONE;
        for (index, (tag, sum)) in tags.iter().zip(&sums).enumerate() {
            if !equal(tag, &sum.0) {
                dst[index].fill(0);
                failed.mark(index);
            }
        }
        wipe(&mut sums);
        Ok(failed)
    }

    /// Runs the checked lists through the cipher; the result is the tag of each page, in order.
    fn run<const A: usize>(
        &self,
        direction: Direction,
        page_bytes: usize,
        nonces: &[[u8; NONCE_BYTES]],
        aads: &[[u8; A]],
        src: &[&[u8]],
        dst: &mut [&mut [u8]],
    ) -> Row {
        const { assert!(A <= AAD_LIMIT, "additional data of at most 32 bytes") };
        let mut tags = [Block::default(); BATCH];
        if src.is_empty() {
            return tags;
        }
        let mut header = [[Block::default(); BATCH]; HEADER_ROWS];
        let mut counters = [Block::default(); BATCH];
        for (page, (nonce, aad)) in nonces.iter().zip(aads).enumerate() {
            counters[page] = counter_block(nonce);
            for (row, block) in header.iter_mut().zip(header_blocks(nonce, aad, page_bytes)) {
                row[page] = block;
            }
        }
        let rows = if A == 0 { 1 } else { 1 + (2 + A).div_ceil(16) };
        let header = &header[..rows];
        match &self.kernel {
            Some(kernel) if uv_kernels::takes(page_bytes) => {
                let header: [&[[u8; 16]]; HEADER_ROWS] =
                    array::from_fn(|row| header.get(row).map_or(&[][..], |row| Array::cast_slice_to_core(row)));
                let counters = Array::cast_slice_to_core(&counters);
                let tags = Array::cast_slice_to_core_mut(&mut tags[..src.len()]);
                kernel.run(CcmBatch { direction, header: &header[..rows], counters, src, dst, tags });
            }
            _ => self.cipher_batch(Pass { direction, header, counters: &counters, src, dst, tags: &mut tags }),
        }
        tags
    }

    /// Not generic: it is compiled here, and not again with the settings of each crate that seals pages.
    #[inline(never)]
    fn cipher_batch(&self, pass: Pass<'_, '_>) {
        self.cipher.encrypt_with_backend(pass);
    }
}

/// B0 and the blocks of the additional data (SP 800-38C, A.2.1 and A.2.2); blocks not needed stay zero.
fn header_blocks<const A: usize>(nonce: &[u8; NONCE_BYTES], aad: &[u8; A], page_bytes: usize) -> [Block; HEADER_ROWS] {
    // Flags: bit 6 additional data present, bits 5-3 (t-2)/2 = 7, bits 2-0 q-1 = 2.
    let flags = if A == 0 { 0x3a } else { 0x7a };
    let mut bytes = [0; HEADER_ROWS * 16];
    bytes[0] = flags;
    bytes[1..13].copy_from_slice(nonce);
    bytes[13..16].copy_from_slice(&page_bytes.to_be_bytes()[size_of::<usize>() - 3..]);
    if A > 0 {
        bytes[16..18].copy_from_slice(&A.to_be_bytes()[size_of::<usize>() - 2..]);
        bytes[18..18 + A].copy_from_slice(aad);
    }
    let mut blocks = [Block::default(); HEADER_ROWS];
    for (block, bytes) in blocks.iter_mut().zip(bytes.as_chunks().0) {
        *block = Array(*bytes);
    }
    blocks
}

/// Counter block number 0 (SP 800-38C, A.3).
fn counter_block(nonce: &[u8; NONCE_BYTES]) -> Block {
    let mut block = Block::default();
    block[0] = 2;
    block[1..13].copy_from_slice(nonce);
    block
}
