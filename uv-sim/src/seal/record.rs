//! The suite names and what the owner keeps of a sealed page.

use uv_crypto::TAG_BYTES;

/// How the pages of a VM are sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suite {
    /// AES-256-XTS with a tag over POLYVAL kept in the record.
    Aes256XtsPolyval,
    /// AES-256-CCM with additional data binding guest frame and VM.
    Aes256Ccm,
    /// AES-128-GCM without additional data.
    Aes128Gcm,
}

/// What the owner keeps of a sealed page, in trusted memory: 24 bytes.
///
/// Nothing in it is secret. It must not lie where an attacker can write: a replaced record opens a replaced page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SealRecord {
    /// Version the page was sealed with.
    pub version: u64,
    /// Tag.
    pub tag: [u8; TAG_BYTES],
}

const _: () = assert!(size_of::<SealRecord>() == 24);
