//! Tags for sealed pages: AES-256 over POLYVAL.
//!
//! The tag of a page and a block is `AES-256(K, POLYVAL(H, page || block))` under two independent secret keys. POLYVAL (RFC 8452)
//! of two different inputs of `n` blocks is equal for at most `n` of the 2^128 keys, and the cipher hides it: who does not have
//! the keys guesses the tag of another page with a chance of at most `n + 1` in 2^128, each time anew. It is a message
//! authentication code, not a digest: who has the keys makes two pages of one tag.
//!
//! All inputs of one key must have one length.

#[cfg(test)]
mod tests;

use core::fmt;

use aes::Aes256Enc;
use cipher::array::Array;
use cipher::{BlockCipherEncrypt, KeyInit};
use polyval::Polyval;
use polyval::universal_hash::UniversalHash;
use zeroize::ZeroizeOnDrop;

use super::block::{Block, wipe};
use super::error::{check_count, check_page};
use super::{BATCH, CryptoError, TAG_BYTES};

/// Longest page in bytes (16 MiB).
const PAGE_LIMIT: usize = 16 << 20;

/// The keys of a page tag, wiped on drop; `Debug` shows nothing.
///
/// ```
/// use uv_crypto::MacKey;
///
/// let key = MacKey::new(&[3; 48]);
/// let (page, mut tags) = ([0x5a_u8; 4096], [[0; 16]; 2]);
/// key.tags(&[&page, &page], &[[1; 16], [2; 16]], &mut tags)?;
/// assert_ne!(tags[0], tags[1]);
/// # Ok::<(), uv_crypto::CryptoError>(())
/// ```
pub struct MacKey {
    cipher: Aes256Enc,
    hash: Polyval,
    /// Takes the place of `hash` where processor and page length allow it.
    kernel: Option<uv_kernels::Polyval>,
}

impl ZeroizeOnDrop for MacKey {}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(..)")
    }
}

impl MacKey {
    /// Bytes of both keys: 16 of the hash, then 32 of the cipher.
    pub const BYTES: usize = 48;

    /// Expands the keys.
    #[must_use]
    pub fn new(key: &[u8; Self::BYTES]) -> Self {
        let (hash, _) = halves(key);
        Self { kernel: uv_kernels::Polyval::new(&hash.0), ..Self::without_kernel(key) }
    }

    /// The same over `polyval` alone: what processors without the kernel's units have.
    fn without_kernel(key: &[u8; Self::BYTES]) -> Self {
        let (hash, cipher) = halves(key);
        Self { cipher: Aes256Enc::new(cipher), hash: Polyval::new(hash), kernel: None }
    }

    /// Writes the tags of up to [`BATCH`] pages, each followed by its block.
    ///
    /// # Errors
    /// [`CryptoError::TooManyPages`], [`CryptoError::CountMismatch`] or [`CryptoError::PageLength`]; nothing is written then.
    pub fn tags(&self, pages: &[&[u8]], blocks: &[[u8; 16]], tags: &mut [[u8; TAG_BYTES]]) -> Result<(), CryptoError> {
        if pages.len() > BATCH {
            return Err(CryptoError::TooManyPages(pages.len()));
        }
        check_count(pages.len(), blocks.len())?;
        check_count(pages.len(), tags.len())?;
        pages.iter().try_for_each(|page| check_page(page.len(), PAGE_LIMIT))?;
        let mut sums = [Block::default(); BATCH];
        for ((sum, page), block) in sums.iter_mut().zip(pages).zip(blocks) {
            *sum = match &self.kernel {
                Some(kernel) if uv_kernels::takes(page.len()) => Array(kernel.hash(page, block)),
                _ => self.plain(page, block),
            };
        }
        self.cipher.encrypt_blocks(&mut sums[..pages.len()]);
        for (tag, sum) in tags.iter_mut().zip(&sums) {
            *tag = sum.0;
        }
        wipe(&mut sums);
        Ok(())
    }

    fn plain(&self, page: &[u8], block: &[u8; 16]) -> Block {
        let mut hash = self.hash.clone();
        hash.update(Array::slice_as_chunks(page).0);
        hash.update(&[Array(*block)]);
        hash.finalize()
    }
}

/// The hash's key and the cipher's.
fn halves(key: &[u8; MacKey::BYTES]) -> (&Block, &Array<u8, cipher::consts::U32>) {
    Array::<u8, cipher::consts::U48>::cast_from_core(key).split_ref::<cipher::consts::U16>()
}
