//! XTS with a SHA-256 digest in the record.

use core::fmt;

use super::SealRecord;
use uv_crypto::digest::{equal, sha256};
use uv_crypto::{BATCH, CryptoError, FailedPages, XtsKey};

/// Guest addresses the entry has room for: below 2^44.
const ADDRESS_LIMIT: u64 = 1 << 44;

/// The XTS entry of a page: 8 zero bytes, then big-endian `address | low | high << 44`, where `address` is the guest absolute
/// address of the page (below 2^44), `low` is bits 0..12 of the version and `high` is bits 12..32 of the version.
///
/// ORed with the VM's nonce (8 random bytes, 8 zero bytes) it is the tweak of the page. The first 4 bytes are zero, hence never
/// `0xffffffff`, which marks pages without content in a dump. Bits 32 and above of the version are not in the entry: the
/// tweak of one page comes back after 2^32 versions. That does no harm to integrity (the digest of the newest version is in the
/// record) and shows an observer at most that two versions 2^32 apart are equal.
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
pub(super) struct XtsSha {
    key: XtsKey,
    nonce: [u8; 16],
    page_bytes: usize,
}

/// What a dump needs to read the pages of one VM. **Ultravisor only**; see
/// [`PageSealer::dump_key_export`](super::PageSealer::dump_key_export).
pub struct DumpKey<'a> {
    suite: &'a XtsSha,
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

impl XtsSha {
    pub(super) fn new(key: &[u8; XtsKey::BYTES], nonce: [u8; 8], page_bytes: usize) -> Self {
        let mut full = [0; 16];
        full[..8].copy_from_slice(&nonce);
        Self { key: XtsKey::new(key), nonce: full, page_bytes }
    }

    pub(super) fn dump_key(&self) -> DumpKey<'_> {
        DumpKey { suite: self }
    }

    fn tweak(&self, entry: [u8; 16]) -> [u8; 16] {
        (u128::from_ne_bytes(self.nonce) | u128::from_ne_bytes(entry)).to_ne_bytes()
    }

    /// Entries of the pages of one call.
    fn entries(&self, gfn_base: u64, records: &[SealRecord]) -> Result<[[u8; 16]; BATCH], CryptoError> {
        let mut entries = [[0; 16]; BATCH];
        for ((record, gfn), entry) in records.iter().zip(gfn_base..).zip(&mut entries) {
            *entry = xts_entry(gfn, self.page_bytes, record.version)?;
        }
        Ok(entries)
    }

    pub(super) fn seal(
        &self,
        gfn_base: u64,
        src: &[&[u8]],
        dst: &mut [&mut [u8]],
        records: &mut [SealRecord],
    ) -> Result<(), CryptoError> {
        let entries = self.entries(gfn_base, records)?;
        let tweaks = entries.map(|entry| self.tweak(entry));
        self.key.encrypt_pages(&tweaks[..src.len()], src, dst)?;
        for ((record, entry), sealed) in records.iter_mut().zip(&entries).zip(dst) {
            record.tag = sha256(&[entry, sealed]);
        }
        Ok(())
    }

    pub(super) fn open(
        &self,
        gfn_base: u64,
        records: &[SealRecord],
        src: &[&[u8]],
        dst: &mut [&mut [u8]],
    ) -> Result<FailedPages, CryptoError> {
        let entries = self.entries(gfn_base, records)?;
        let mut failed = FailedPages::NONE;
        for (index, record) in records.iter().enumerate() {
            let (entry, sealed) = (entries[index], src[index]);
            // The digest comes first: no byte of a wrong page is decrypted.
            if equal(&record.tag, &sha256(&[&entry, sealed])) {
                self.key.decrypt_page(self.tweak(entry), sealed, dst[index])?;
            } else {
                dst[index].fill(0);
                failed.mark(index);
            }
        }
        Ok(failed)
    }
}
