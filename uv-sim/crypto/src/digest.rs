//! SHA-256, SHA-512 over many pages, and comparison in constant time.

use core::fmt;

use sha2::block_api::compress512;
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

/// SHA-512 (FIPS 180-4) of public data, such as the pages of an image as they are stored. What it works on is not wiped.
///
/// ```
/// use uv_crypto::digest::Sha512;
///
/// let mut hash = Sha512::new();
/// hash.update(b"a");
/// hash.update(b"bc");
/// assert_eq!(hash.finish()[..4], [0xdd, 0xaf, 0x35, 0xa1]);
/// ```
#[derive(Clone)]
pub struct Sha512 {
    state: [u64; 8],
    buffer: [u8; Self::BLOCK],
    /// Bytes taken so far; those behind the last whole block are in the buffer.
    taken: u128,
}

impl fmt::Debug for Sha512 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sha512").field("taken", &self.taken).finish_non_exhaustive()
    }
}

impl Default for Sha512 {
    fn default() -> Self {
        Self::new()
    }
}

impl Sha512 {
    /// Bytes of the digest.
    pub const BYTES: usize = 64;

    const BLOCK: usize = 128;

    /// Of no bytes yet.
    #[must_use]
    pub const fn new() -> Self {
        let state = [
            0x6a09_e667_f3bc_c908,
            0xbb67_ae85_84ca_a73b,
            0x3c6e_f372_fe94_f82b,
            0xa54f_f53a_5f1d_36f1,
            0x510e_527f_ade6_82d1,
            0x9b05_688c_2b3e_6c1f,
            0x1f83_d9ab_fb41_bd6b,
            0x5be0_cd19_137e_2179,
        ];
        Self { state, buffer: [0; Self::BLOCK], taken: 0 }
    }

    /// Takes bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        let filled = self.filled();
        self.taken += bytes.len() as u128;
        if filled > 0 {
            let (front, rest) = bytes.split_at(bytes.len().min(Self::BLOCK - filled));
            self.buffer[filled..filled + front.len()].copy_from_slice(front);
            if filled + front.len() < Self::BLOCK {
                return;
            }
            let block = self.buffer;
            self.compress(&[block]);
            bytes = rest;
        }
        let (blocks, rest) = bytes.as_chunks();
        self.compress(blocks);
        self.buffer[..rest.len()].copy_from_slice(rest);
    }

    /// The digest.
    #[must_use]
    pub fn finish(mut self) -> [u8; Self::BYTES] {
        let filled = self.filled();
        let mut end = [[0; Self::BLOCK]; 2];
        end[0][..filled].copy_from_slice(&self.buffer[..filled]);
        end[0][filled] = 0x80;
        let last = usize::from(filled >= Self::BLOCK - 16);
        end[last][Self::BLOCK - 16..].copy_from_slice(&(self.taken << 3).to_be_bytes());
        self.compress(&end[..=last]);
        let mut digest = [0; Self::BYTES];
        for (to, word) in digest.as_chunks_mut().0.iter_mut().zip(self.state) {
            *to = word.to_be_bytes();
        }
        digest
    }

    /// Bytes in the buffer.
    fn filled(&self) -> usize {
        usize::from(self.taken.to_le_bytes()[0] & 0x7f)
    }

    fn compress(&mut self, blocks: &[[u8; Self::BLOCK]]) {
        if !blocks.is_empty() && !uv_kernels::sha512(&mut self.state, blocks) {
            compress512(&mut self.state, blocks);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sha512_in_parts_is_that_of_the_plain_crate(parts in prop::collection::vec(0..700_usize, 0..6), seed: u8) {
            let all: alloc::vec::Vec<u8> =
                (0..parts.iter().sum()).map(|at: usize| (at * 7).to_le_bytes()[0] ^ seed).collect();
            let mut hash = Sha512::default();
            let mut rest = all.as_slice();
            for part in parts {
                let (front, back) = rest.split_at(part);
                hash.update(front);
                rest = back;
            }
            prop_assert!(hash.finish()[..] == sha2::Sha512::digest(&all)[..]);
        }
    }

    #[test]
    fn sha512_ends_at_every_place_of_a_block() {
        for len in 0..=260 {
            let mut hash = Sha512::new();
            hash.update(&[0x5a; 260][..len]);
            assert_eq!(hash.finish().as_slice(), sha2::Sha512::digest(&[0x5a; 260][..len]).as_slice(), "{len}");
        }
    }

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
