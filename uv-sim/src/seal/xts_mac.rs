//! XTS with a tag in the record.

use core::fmt;

use super::SealRecord;
use uv_crypto::digest::equal;
use uv_crypto::{BATCH, CryptoError, FailedPages, MacKey, TAG_BYTES, XtsKey};

/// Guest addresses the entry has room for: below 2^44.
const ADDRESS_LIMIT: u64 = 1 << 44;

/// The XTS entry of a page: 8 zero bytes, then big-endian `address | low | high << 44`, where `address` is the guest absolute
/// address of the page (below 2^44), `low` is bits 0..12 of the version and `high` is bits 12..32 of the version.
///
/// ORed with the VM's nonce (8 random bytes, 8 zero bytes) it is the tweak of the page. The first 4 bytes are zero, hence never
/// `0xffffffff`, which marks pages without content in a dump. Bits 32 and above of the version are not in the entry: the
/// tweak of one page comes back after 2^32 versions. That does no harm to integrity (the tag is over the whole version, and
/// that of the newest is in the record) and shows an observer at most that two versions 2^32 apart are equal.
///
/// # Errors
/// [`CryptoError::FrameRange`] if the page lies at or above 2^44.
pub fn xts_entry(gfn: u64, page_bytes: usize, version: u64) -> Result<[u8; 16], CryptoError> {
    let address = u64::try_from(page_bytes).ok().and_then(|bytes| gfn.checked_mul(bytes));
    let address = address.filter(|&address| address < ADDRESS_LIMIT).ok_or(CryptoError::FrameRange(gfn))?;
    let low = version & 0xfff;
    let high = (version >> 12) & 0xf_ffff;
    Ok(u128::from(address | low | (high << 44)).to_be_bytes())
}

/// The suite's state for one VM.
pub(super) struct XtsMac {
    key: XtsKey,
    mac: MacKey,
    nonce: [u8; 16],
    page_bytes: usize,
}

/// What a dump needs to read the pages of one VM. **Ultravisor only**; see
/// [`PageSealer::dump_key_export`](super::PageSealer::dump_key_export).
pub struct DumpKey<'a> {
    suite: &'a XtsMac,
}

impl fmt::Debug for DumpKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DumpKey(..)")
    }
}

impl<'a> DumpKey<'a> {
    /// The raw XTS key: data key, then tweak key.
    #[must_use]
    pub fn expose_key(&self) -> &'a [u8; XtsKey::BYTES] {
        self.suite.key.expose_key()
    }

    /// The VM's nonce: 8 random bytes, 8 zero bytes.
    #[must_use]
    pub fn nonce(&self) -> [u8; 16] {
        self.suite.nonce
    }
}

impl XtsMac {
    pub(super) fn new(key: &[u8; XtsKey::BYTES], nonce: [u8; 8], mac: &[u8; MacKey::BYTES], page_bytes: usize) -> Self {
        let mut full = [0; 16];
        full[..8].copy_from_slice(&nonce);
        Self { key: XtsKey::new(key), mac: MacKey::new(mac), nonce: full, page_bytes }
    }

    pub(super) fn dump_key(&self) -> DumpKey<'_> {
        DumpKey { suite: self }
    }

    fn tweak(&self, entry: [u8; 16]) -> [u8; 16] {
        (u128::from_ne_bytes(self.nonce) | u128::from_ne_bytes(entry)).to_ne_bytes()
    }

    /// Tweaks of the pages of one call.
    fn tweaks(&self, gfn_base: u64, records: &[SealRecord]) -> Result<[[u8; 16]; BATCH], CryptoError> {
        let mut tweaks = [[0; 16]; BATCH];
        for ((record, gfn), tweak) in records.iter().zip(gfn_base..).zip(&mut tweaks) {
            *tweak = self.tweak(xts_entry(gfn, self.page_bytes, record.version)?);
        }
        Ok(tweaks)
    }

    /// Tags of sealed pages, over each page, its frame and its version.
    fn tags<'p>(
        &self,
        gfn_base: u64,
        records: &[SealRecord],
        sealed: impl Iterator<Item = &'p [u8]>,
    ) -> Result<[[u8; TAG_BYTES]; BATCH], CryptoError> {
        let (mut ends, mut pages, mut tags) = ([[0; 16]; BATCH], [&[][..]; BATCH], [[0; TAG_BYTES]; BATCH]);
        for ((record, gfn), end) in records.iter().zip(gfn_base..).zip(&mut ends) {
            *end = (u128::from(gfn) << 64 | u128::from(record.version)).to_be_bytes();
        }
        for (to, page) in pages.iter_mut().zip(sealed) {
            *to = page;
        }
        let count = records.len();
        self.mac.tags(&pages[..count], &ends[..count], &mut tags[..count])?;
        Ok(tags)
    }

    pub(super) fn seal(
        &self,
        gfn_base: u64,
        src: &[&[u8]],
        dst: &mut [&mut [u8]],
        records: &mut [SealRecord],
    ) -> Result<(), CryptoError> {
        self.key.encrypt_pages(&self.tweaks(gfn_base, records)?[..src.len()], src, dst)?;
        let tags = self.tags(gfn_base, records, dst.iter().map(|page| &**page))?;
        for (record, tag) in records.iter_mut().zip(tags) {
            record.tag = tag;
        }
        Ok(())
    }

    /// The tags come first: no byte of a wrong page is decrypted.
    pub(super) fn open(
        &self,
        gfn_base: u64,
        records: &[SealRecord],
        src: &[&[u8]],
        dst: &mut [&mut [u8]],
    ) -> Result<FailedPages, CryptoError> {
        let tweaks = self.tweaks(gfn_base, records)?;
        let tags = self.tags(gfn_base, records, src.iter().copied())?;
        let mut failed = FailedPages::NONE;
        for (index, (record, tag)) in records.iter().zip(&tags).enumerate() {
            if !equal(&record.tag, tag) {
                failed.mark(index);
            }
        }
        if failed.is_none() {
            self.key.decrypt_pages(&tweaks[..src.len()], src, dst)?;
            return Ok(failed);
        }
        for (index, (from, to)) in src.iter().zip(dst).enumerate() {
            match failed.page(index) {
                Ok(()) => self.key.decrypt_page(tweaks[index], from, to)?,
                Err(_) => to.fill(0),
            }
        }
        Ok(failed)
    }
}
