//! SHA-256 page digests and comparison in constant time.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Bytes of a page digest (32).
pub const DIGEST_BYTES: usize = 32;

/// SHA-256 (FIPS 180-4) over the parts, one after the other without separators.
///
/// The parts' lengths are not part of the digest: give parts of fixed length, or make the border clear otherwise.
///
/// ```
/// use uv_crypto::digest::sha256;
///
/// assert_eq!(sha256(&[b"page ", b"bytes"]), sha256(&[b"page bytes"]));
/// ```
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> [u8; DIGEST_BYTES] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Whether two tags or digests are equal; the time taken does not depend on where they differ.
///
/// Slices of different length are unequal (their lengths are not secret).
#[must_use]
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fips_180_example() {
        let expected = hex::decode("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad").unwrap();
        assert_eq!(sha256(&[b"abc"]).as_slice(), expected);
        assert_eq!(sha256(&[b"a", b"", b"bc"]).as_slice(), expected);
    }

    #[test]
    fn equality() {
        assert!(equal(b"1234", b"1234"));
        assert!(!equal(b"1234", b"1235"));
        assert!(!equal(b"1234", b"123"));
    }
}
