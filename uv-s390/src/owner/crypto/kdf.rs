//! Key derivation: the wrapping key of key slots, and HKDF.

use hkdf::Hkdf;
use sha2::{Digest, Sha256, Sha512};

use super::secret_bytes::{SecretBytes, SharedSecret};

/// Key-wrapping key of a slot: SHA-256(Z ‖ 00 00 00 01), used whole as an AES-256-GCM key (s390-formats §1).
#[must_use]
pub fn wrapping_key(z: &SharedSecret) -> SecretBytes<32> {
    let mut hash = Sha256::new();
    hash.update(z.expose());
    hash.update(1u32.to_be_bytes());
    SecretBytes::new(hash.finalize().into())
}

/// HKDF with SHA-512 (RFC 5869, extract and expand), 32 bytes of output.
#[must_use]
pub fn hkdf_sha512(ikm: &[u8], salt: &[u8], info: &[u8]) -> SecretBytes<32> {
    let mut key = SecretBytes::default();
    Hkdf::<Sha512>::new(Some(salt), ikm)
        .expand(info, key.expose_mut())
        .expect("32 bytes are within the output limit of HKDF-SHA-512");
    key
}

#[cfg(test)]
mod tests {
    use super::super::{Cck, vectors};
    use super::*;

    #[test]
    fn known_wrapping_key() {
        let z = vectors::customer_pair().shared_secret(&vectors::host_private().public());
        assert_eq!(z.expose()[..], vectors::bytes(vectors::Z));
        assert_eq!(wrapping_key(&z).expose()[..], vectors::bytes(vectors::WRAPPING_KEY));
    }

    #[test]
    fn known_derived_keys() {
        let cck = Cck::new(vectors::seq(0x80));
        let dump = hkdf_sha512(cck.expose(), &vectors::seq::<64>(0), b"IBM Z Ultravisor Dump");
        assert_eq!(hex::encode(dump.expose()), "166c8706fde79b0ef6002d165bfda5c017eb25e4f5614d9655ebfc1c2f1b7e9a");
        let salt = vectors::bytes("ad1eaeca90c2f06fe58992225683fb4e");
        let extension = hkdf_sha512(cck.expose(), &salt, b"IBM Z Ultravisor Add-Secret");
        assert_eq!(hex::encode(extension.expose()), "f6a3460893ac7ae67b6d491895de10f8414c27ecd48351d70c72285b39577a0e");
    }
}
