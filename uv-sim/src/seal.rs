//! Sealing of pages that leave secure memory, and opening of pages that come back.
//!
//! A [`PageSealer`] belongs to one VM (or one secret domain) and holds its key. Sealing a page gives a [`SealRecord`], which the
//! owner keeps in trusted memory beside the page's state. Opening takes the record again: a page that was changed, moved
//! to another guest frame or replaced by an older version is refused, and its destination is zeroed.
//!
//! | suite | cipher | integrity | what is bound |
//! |---|---|---|---|
//! | [`Suite::Aes256XtsPolyval`] | XTS, tweak = VM nonce OR entry | tag of ciphertext, frame and version ([`uv_crypto::mac`]) | frame, version, content |
//! | [`Suite::Aes256Ccm`] | CCM, nonce = version, VM part | CCM tag | frame, VM, version, content |
//! | [`Suite::Aes128Gcm`] | GCM, IV = VM part, version | GCM tag | version, content (the frame only by the record) |
//!
//! Versions come from the owner. **Under one sealer the CCM and GCM suites must never see a version twice**: draw them from one
//! counter of the VM. The XTS suite wants a version that differs from the page's previous one.

mod aead;
mod material;
mod record;
#[cfg(test)]
mod tests;
mod xts_mac;

use alloc::boxed::Box;
use core::fmt;

use rand_core::CryptoRng;

pub use material::SealMaterial;
pub use record::{SealRecord, Suite};
use uv_crypto::error::{check_batch, check_count, check_equal};
use uv_crypto::{BadPage, CryptoError, FailedPages};
use xts_mac::XtsMac;
pub use xts_mac::{DumpKey, xts_entry};

/// Pages a sealer may have, in bytes: a power of two from 4 KiB up to this (8 MiB).
pub const PAGE_BYTES_LIMIT: usize = 8 << 20;

/// Why one page was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The call was shaped wrongly; nothing was written.
    #[error(transparent)]
    Call(#[from] CryptoError),
    /// The page failed authentication; the destination is zeroed.
    #[error(transparent)]
    Page(#[from] BadPage),
}

/// Seals and opens the pages of one VM.
///
/// All methods take `&self` and may run on many threads at once. Nothing is allocated after construction. Keys are wiped on
/// drop; `Debug` shows suite and page size only.
///
/// ```
/// use uv_sim::seal::{PageSealer, SealRecord, Suite};
/// use uv_sim::rng::SimRng;
///
/// let mut rng = SimRng::from_seed(1).fork("vm 1");
/// let sealer = PageSealer::generate(Suite::Aes256XtsPolyval, 4096, 1, &mut rng)?;
/// let (page, mut out, mut back) = ([7_u8; 4096], [0_u8; 4096], [0_u8; 4096]);
///
/// // One page is a range of one; a range takes up to `crypto::BATCH` pages, lying anywhere.
/// let mut records = [SealRecord::default()];
/// sealer.seal_range(0x10, |_| 1, &[&page], &mut [&mut out], &mut records)?;
/// let failed = sealer.open_range(0x10, &records, &[&out], &mut [&mut back])?;
/// assert!(failed.is_none());
/// assert_eq!(page, back);
///
/// out[100] ^= 1;
/// let failed = sealer.open_range(0x10, &records, &[&out], &mut [&mut back])?;
/// assert!(failed.page(0).is_err());
/// assert_eq!(back, [0; 4096]);
/// # Ok::<(), uv_crypto::CryptoError>(())
/// ```
pub struct PageSealer {
    page_bytes: usize,
    inner: Inner,
}

enum Inner {
    Xts(Box<XtsMac>),
    Ccm(Box<aead::Ccm>),
    Gcm(Box<aead::Gcm>),
}

impl fmt::Debug for PageSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageSealer")
            .field("suite", &self.suite())
            .field("page_bytes", &self.page_bytes)
            .finish_non_exhaustive()
    }
}

impl PageSealer {
    /// A sealer with fresh key material for pages of `page_bytes` (a power of two, 4 KiB to 8 MiB).
    ///
    /// `vm_id` enters the additional data of the CCM suite; the other suites ignore it.
    ///
    /// # Errors
    /// [`CryptoError::PageLength`].
    pub fn generate(
        suite: Suite,
        page_bytes: usize,
        vm_id: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, CryptoError> {
        Self::from_material(&SealMaterial::generate(suite, rng), page_bytes, vm_id)
    }

    /// A sealer from given material; the suite is the material's.
    ///
    /// # Errors
    /// [`CryptoError::PageLength`].
    pub fn from_material(material: &SealMaterial, page_bytes: usize, vm_id: u64) -> Result<Self, CryptoError> {
        if !page_bytes.is_power_of_two() || !(4096..=PAGE_BYTES_LIMIT).contains(&page_bytes) {
            return Err(CryptoError::PageLength(page_bytes));
        }
        let inner = match material {
            SealMaterial::Aes256Xts { key, nonce, mac } => {
                Inner::Xts(Box::new(XtsMac::new(key, *nonce, mac, page_bytes)))
            }
            SealMaterial::Aes256Ccm { key, fixed } => Inner::Ccm(Box::new(aead::Ccm::new(key, *fixed, vm_id))),
            SealMaterial::Aes128Gcm { key, fixed } => Inner::Gcm(Box::new(aead::Gcm::new(key, *fixed))),
        };
        Ok(Self { page_bytes, inner })
    }

    /// The suite pages are sealed with.
    #[must_use]
    pub fn suite(&self) -> Suite {
        match self.inner {
            Inner::Xts(_) => Suite::Aes256XtsPolyval,
            Inner::Ccm(_) => Suite::Aes256Ccm,
            Inner::Gcm(_) => Suite::Aes128Gcm,
        }
    }

    /// Bytes of a page.
    #[must_use]
    pub fn page_bytes(&self) -> usize {
        self.page_bytes
    }

    /// Seals the pages of guest frames `gfn_base`, `gfn_base + 1`, ... from `src` into `dst`.
    ///
    /// `versions` is asked once for each page, in order, with the page's index in the call. All lists have one entry for
    /// each page, at most [`BATCH`](uv_crypto::BATCH); the pages may lie anywhere.
    ///
    /// # Errors
    /// [`CryptoError`] if the lists or pages are shaped wrongly or a frame lies outside the suite's range (XTS: guest
    /// address below 2^44). Nothing is written and no version is drawn then.
    pub fn seal_range(
        &self,
        gfn_base: u64,
        mut versions: impl FnMut(usize) -> u64,
        src: &[&[u8]],
        dst: &mut [&mut [u8]],
        records: &mut [SealRecord],
    ) -> Result<(), CryptoError> {
        self.check(gfn_base, src, dst, records.len())?;
        for (index, record) in records.iter_mut().enumerate() {
            *record = SealRecord { version: versions(index), ..SealRecord::default() };
        }
        match &self.inner {
            Inner::Xts(suite) => suite.seal(gfn_base, src, dst, records),
            Inner::Ccm(suite) => suite.seal(gfn_base, src, dst, records),
            Inner::Gcm(suite) => suite.seal(src, dst, records),
        }
    }

    /// Opens the pages of guest frames `gfn_base`, `gfn_base + 1`, ... from `src` into `dst`.
    ///
    /// Pages which fail authentication are named in the result, and their destinations are zeroed. All comparisons take
    /// constant time.
    ///
    /// # Errors
    /// As [`seal_range`](Self::seal_range); nothing is written then.
    pub fn open_range(
        &self,
        gfn_base: u64,
        records: &[SealRecord],
        src: &[&[u8]],
        dst: &mut [&mut [u8]],
    ) -> Result<FailedPages, CryptoError> {
        self.check(gfn_base, src, dst, records.len())?;
        match &self.inner {
            Inner::Xts(suite) => suite.open(gfn_base, records, src, dst),
            Inner::Ccm(suite) => suite.open(gfn_base, records, src, dst),
            Inner::Gcm(suite) => suite.open(records, src, dst),
        }
    }

    /// Seals one page: a range of one.
    ///
    /// # Errors
    /// As [`seal_range`](Self::seal_range).
    pub fn seal_page(&self, gfn: u64, version: u64, src: &[u8], dst: &mut [u8]) -> Result<SealRecord, CryptoError> {
        let mut record = SealRecord::default();
        self.seal_range(gfn, |_| version, &[src], &mut [dst], core::slice::from_mut(&mut record))?;
        Ok(record)
    }

    /// Opens one page: a range of one.
    ///
    /// # Errors
    /// [`OpenError::Call`] as [`seal_range`](Self::seal_range); [`OpenError::Page`] if the page failed authentication.
    pub fn open_page(&self, gfn: u64, record: &SealRecord, src: &[u8], dst: &mut [u8]) -> Result<(), OpenError> {
        let failed = self.open_range(gfn, core::slice::from_ref(record), &[src], &mut [dst])?;
        Ok(failed.first()?)
    }

    /// What a dump of the VM needs to read sealed pages; `None` unless the suite is XTS.
    ///
    /// **Ultravisor only.** Whoever holds this reads every page of the VM. It may leave the ultravisor only encrypted to the
    /// owner of the guest, in the completion data of a permitted dump.
    #[must_use]
    pub fn dump_key_export(&self) -> Option<DumpKey<'_>> {
        match &self.inner {
            Inner::Xts(suite) => Some(suite.dump_key()),
            Inner::Ccm(_) | Inner::Gcm(_) => None,
        }
    }

    /// The XTS entry of a page (see [`xts_entry`]); `None` unless the suite is XTS and the frame is in range.
    #[must_use]
    pub fn xts_entry(&self, gfn: u64, version: u64) -> Option<[u8; 16]> {
        match &self.inner {
            Inner::Xts(_) => xts_entry(gfn, self.page_bytes, version).ok(),
            Inner::Ccm(_) | Inner::Gcm(_) => None,
        }
    }

    /// The XTS nonce of the VM, 8 random bytes and 8 zero bytes; `None` unless the suite is XTS.
    #[must_use]
    pub fn xts_nonce(&self) -> Option<[u8; 16]> {
        self.dump_key_export().map(|export| export.nonce())
    }

    fn check(&self, gfn_base: u64, src: &[&[u8]], dst: &[&mut [u8]], records: usize) -> Result<(), CryptoError> {
        let found = check_batch(src, dst, PAGE_BYTES_LIMIT)?;
        check_count(src.len(), records)?;
        let Some(last) = src.len().checked_sub(1) else {
            return Ok(());
        };
        check_equal(self.page_bytes, found)?;
        let last = u64::try_from(last).ok().and_then(|last| gfn_base.checked_add(last));
        let last = last.ok_or(CryptoError::FrameRange(gfn_base))?;
        if let Inner::Xts(_) = self.inner {
            xts_entry(last, self.page_bytes, 0)?;
        }
        Ok(())
    }
}
