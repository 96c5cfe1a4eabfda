//! AES-GCM (NIST SP 800-38D) of pages: 12-byte IV, detached 16-byte tag.

#[cfg(test)]
mod tests;

use core::fmt;

use aes::{Aes128Enc, Aes256Enc};
use aes_gcm::AesGcm;
use aes_gcm::aead::AeadInOut;
use cipher::array::Array;
use cipher::consts::{U12, U16};
use cipher::inout::InOutBuf;
use cipher::{BlockCipherEncrypt, BlockSizeUser, KeyInit, KeySizeUser};
use zeroize::ZeroizeOnDrop;

use super::error::{check_batch, check_count};
use super::{CryptoError, FailedPages, TAG_BYTES};

/// Bytes of an IV (12).
pub const IV_BYTES: usize = 12;

/// Longest page in bytes (16 MiB; the mode would allow 64 GiB).
const PAGE_LIMIT: usize = 16 << 20;

/// An AES-GCM key with expanded schedule and hash key, wiped on drop; `Debug` shows nothing.
///
/// Used through [`Gcm128Key`] and [`Gcm256Key`].
///
/// ```
/// use uv_sim::crypto::Gcm128Key;
///
/// let key = Gcm128Key::new(&[3; 16]);
/// let (page, mut sealed, mut opened) = ([0x5a_u8; 4096], [0_u8; 4096], [0_u8; 4096]);
/// let mut tag = [[0; 16]];
/// key.seal_pages(&[[1; 12]], &[b""], &[&page], &mut [&mut sealed], &mut tag)?;
/// let failed = key.open_pages(&[[1; 12]], &[b""], &[&sealed], &mut [&mut opened], &tag)?;
/// assert!(failed.is_none());
/// assert_eq!(page, opened);
/// # Ok::<(), uv_sim::crypto::CryptoError>(())
/// ```
pub struct GcmKey<C> {
    mode: AesGcm<C, U12>,
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
        Self { mode: AesGcm::new(Array::cast_from_core(key)) }
    }
}

impl Gcm256Key {
    /// Expands `key`.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self { mode: AesGcm::new(Array::cast_from_core(key)) }
    }
}

impl<C> GcmKey<C>
where
    C: BlockSizeUser<BlockSize = U16> + BlockCipherEncrypt + KeyInit + KeySizeUser,
{
    /// Seals up to [`BATCH`](super::BATCH) pages from `src` into `dst` and writes their tags.
    ///
    /// All lists have one entry for each page. An IV must never be used twice under one key with different contents.
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
        check_batch(src, dst, PAGE_LIMIT)?;
        check_count(src.len(), ivs.len())?;
        check_count(src.len(), aads.len())?;
        check_count(src.len(), tags.len())?;
        for (index, tag) in tags.iter_mut().enumerate() {
            let pair = pair(src[index], dst[index])?;
            let sealed = self.mode.encrypt_inout_detached(&Array(ivs[index]), aads[index], pair);
            // The mode's own limits (2^36 bytes of page, 2^61 bytes of additional data) lie beyond any slice checked above
            // except a giant additional data, which is refused.
            *tag = sealed.map_err(|_| CryptoError::AadLength(aads[index].len()))?.0;
        }
        Ok(())
    }

    /// Opens up to [`BATCH`](super::BATCH) pages from `src` into `dst`.
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
        check_batch(src, dst, PAGE_LIMIT)?;
        check_count(src.len(), ivs.len())?;
        check_count(src.len(), aads.len())?;
        check_count(src.len(), tags.len())?;
        let mut failed = FailedPages::NONE;
        for (index, tag) in tags.iter().enumerate() {
            let pair = pair(src[index], dst[index])?;
            let opened = self.mode.decrypt_inout_detached(&Array(ivs[index]), aads[index], pair, &Array(*tag));
            if opened.is_err() {
                dst[index].fill(0);
                failed.mark(index);
            }
        }
        Ok(failed)
    }
}

fn pair<'i, 'o>(src: &'i [u8], dst: &'o mut [u8]) -> Result<InOutBuf<'i, 'o, u8>, CryptoError> {
    let (expected, found) = (src.len(), dst.len());
    InOutBuf::new(src, dst).map_err(|_| CryptoError::LengthMismatch { expected, found })
}
