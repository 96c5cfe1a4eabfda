//! Extension secret: proof that two requests come from the same owner.

use crate::owner::crypto::{Cck, SecretBytes, hkdf_sha512};

const INFO: &[u8] = b"IBM Z Ultravisor Add-Secret";

/// Extension secret of a request. The first request a guest accepts fixes the value for the later ones
/// (s390-formats §9.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ExtensionSecret {
    /// None: 32 zero bytes.
    #[default]
    None,
    /// Any 32 bytes.
    Given(SecretBytes<32>),
    /// Derived from the customer communication key and the image's SE header tag.
    Derived(Cck),
}

impl ExtensionSecret {
    /// The 32 bytes for a request to an image whose SE header has the tag `header_tag`.
    #[must_use]
    pub fn value(&self, header_tag: &[u8; 16]) -> SecretBytes<32> {
        match self {
            Self::None => SecretBytes::default(),
            Self::Given(value) => value.clone(),
            Self::Derived(cck) => Self::derive(cck, header_tag),
        }
    }

    /// HKDF-SHA-512 of the CCK, salted with the SE header tag.
    #[must_use]
    pub fn derive(cck: &Cck, header_tag: &[u8; 16]) -> SecretBytes<32> {
        hkdf_sha512(cck.expose(), header_tag, INFO)
    }
}
