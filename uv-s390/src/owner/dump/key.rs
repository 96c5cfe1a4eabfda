//! The dump key.

use core::fmt;

use crate::owner::crypto::{Cck, SecretBytes, hkdf_sha512};

const INFO: &[u8] = b"IBM Z Ultravisor Dump";

/// Key that seals the completion data and the CPU notes of one dump: HKDF-SHA-512 of the customer communication key,
/// salted with the dump's seed (s390-formats §7.2).
///
/// A CCK installed by an update-CCK request is expected to take the place of the header's; this is not confirmed.
#[derive(Clone, PartialEq, Eq)]
pub struct DumpKey(SecretBytes<32>);

impl DumpKey {
    /// Derives the key of the dump with this seed.
    #[must_use]
    pub fn derive(cck: &Cck, seed: &[u8; 64]) -> Self {
        Self(hkdf_sha512(cck.expose(), seed, INFO))
    }

    pub(super) const fn key(&self) -> &SecretBytes<32> {
        &self.0
    }
}

impl fmt::Debug for DumpKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DumpKey(..)")
    }
}
