//! The suite names and what the owner keeps of a sealed page.

use uv_crypto::TAG_BYTES;

/// How the pages of a VM are sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suite {
    /// AES-256-XTS with a SHA-256 digest kept in the record.
    Aes256XtsSha256,
    /// AES-256-CCM with additional data binding guest frame and VM.
    Aes256Ccm,
    /// AES-128-GCM without additional data.
    Aes128Gcm,
}

/// What the owner keeps of a sealed page, in trusted memory: 40 bytes.
///
/// Nothing in it is secret. It must not lie where an attacker can write: a replaced record opens a replaced page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SealRecord {
    /// Version the page was sealed with.
    pub version: u64,
    /// Digest (XTS suite, 32 bytes) or tag (CCM and GCM suites, 16 bytes and 16 zero bytes).
    pub tag: [u8; 32],
}

const _: () = assert!(size_of::<SealRecord>() == 40);

impl SealRecord {
    /// The 16 bytes of a short tag.
    pub(super) fn short_tag(&self) -> [u8; TAG_BYTES] {
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&self.tag[..TAG_BYTES]);
        tag
    }

    /// Stores a short tag, zero padded.
    pub(super) fn set_short_tag(&mut self, tag: &[u8; TAG_BYTES]) {
        self.tag = [0; 32];
        self.tag[..TAG_BYTES].copy_from_slice(tag);
    }
}
