//! The two suites whose tag comes from the mode itself.

use super::SealRecord;
use uv_crypto::{BATCH, CcmKey, CryptoError, FailedPages, Gcm128Key, TAG_BYTES};

/// AES-256-CCM: nonce = version (8 bytes, big-endian), fixed part; additional data = guest frame, VM (big-endian).
pub(super) struct Ccm {
    key: CcmKey,
    fixed: [u8; 4],
    vm_id: u64,
}

/// AES-128-GCM: IV = fixed part, version (8 bytes, big-endian); no additional data.
pub(super) struct Gcm {
    key: Gcm128Key,
    fixed: [u8; 4],
}

/// The tags of the records of one call.
fn tags_of(records: &[SealRecord]) -> [[u8; TAG_BYTES]; BATCH] {
    let mut tags = [[0; TAG_BYTES]; BATCH];
    for (tag, record) in tags.iter_mut().zip(records) {
        *tag = record.tag;
    }
    tags
}

fn keep_tags(records: &mut [SealRecord], tags: &[[u8; TAG_BYTES]]) {
    for (record, tag) in records.iter_mut().zip(tags) {
        record.tag = *tag;
    }
}

/// 12 bytes of nonce for each record, put together by `join`.
fn nonces(records: &[SealRecord], join: impl Fn([u8; 8]) -> [u8; 12]) -> [[u8; 12]; BATCH] {
    let mut nonces = [[0; 12]; BATCH];
    for (nonce, record) in nonces.iter_mut().zip(records) {
        *nonce = join(record.version.to_be_bytes());
    }
    nonces
}

impl Ccm {
    pub(super) fn new(key: &[u8; 32], fixed: [u8; 4], vm_id: u64) -> Self {
        Self { key: CcmKey::new(key), fixed, vm_id }
    }

    fn nonce(&self, version: [u8; 8]) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[..8].copy_from_slice(&version);
        nonce[8..].copy_from_slice(&self.fixed);
        nonce
    }

    fn aads(&self, gfn_base: u64, count: usize) -> [[u8; 16]; BATCH] {
        let mut aads = [[0; 16]; BATCH];
        let mut gfn = gfn_base;
        for aad in &mut aads[..count] {
            aad[..8].copy_from_slice(&gfn.to_be_bytes());
            aad[8..].copy_from_slice(&self.vm_id.to_be_bytes());
            gfn = gfn.wrapping_add(1);
        }
        aads
    }

    pub(super) fn seal(
        &self,
        gfn_base: u64,
        src: &[&[u8]],
        dst: &mut [&mut [u8]],
        records: &mut [SealRecord],
    ) -> Result<(), CryptoError> {
        let count = src.len();
        let nonces = nonces(records, |version| self.nonce(version));
        let aads = self.aads(gfn_base, count);
        let mut tags = [[0; TAG_BYTES]; BATCH];
        self.key.seal_pages(&nonces[..count], &aads[..count], src, dst, &mut tags[..count])?;
        keep_tags(records, &tags);
        Ok(())
    }

    pub(super) fn open(
        &self,
        gfn_base: u64,
        records: &[SealRecord],
        src: &[&[u8]],
        dst: &mut [&mut [u8]],
    ) -> Result<FailedPages, CryptoError> {
        let count = src.len();
        let nonces = nonces(records, |version| self.nonce(version));
        let aads = self.aads(gfn_base, count);
        self.key.open_pages(&nonces[..count], &aads[..count], src, dst, &tags_of(records)[..count])
    }
}

impl Gcm {
    pub(super) fn new(key: &[u8; 16], fixed: [u8; 4]) -> Self {
        Self { key: Gcm128Key::new(key), fixed }
    }

    fn iv(&self, version: [u8; 8]) -> [u8; 12] {
        let mut iv = [0; 12];
        iv[..4].copy_from_slice(&self.fixed);
        iv[4..].copy_from_slice(&version);
        iv
    }

    pub(super) fn seal(
        &self,
        src: &[&[u8]],
        dst: &mut [&mut [u8]],
        records: &mut [SealRecord],
    ) -> Result<(), CryptoError> {
        let count = src.len();
        let ivs = nonces(records, |version| self.iv(version));
        let mut tags = [[0; TAG_BYTES]; BATCH];
        self.key.seal_pages(&ivs[..count], &[b"".as_slice(); BATCH][..count], src, dst, &mut tags[..count])?;
        keep_tags(records, &tags);
        Ok(())
    }

    pub(super) fn open(
        &self,
        records: &[SealRecord],
        src: &[&[u8]],
        dst: &mut [&mut [u8]],
    ) -> Result<FailedPages, CryptoError> {
        let count = src.len();
        let ivs = nonces(records, |version| self.iv(version));
        self.key.open_pages(&ivs[..count], &[b"".as_slice(); BATCH][..count], src, dst, &tags_of(records)[..count])
    }
}
