//! Key schedules of AES-256 (FIPS 197), wiped on drop.

use core::arch::x86_64::*;

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::Found;
use super::vector::{block_bytes, four, load_block};

/// Round keys.
const KEYS: usize = 15;

/// The round keys of one direction.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Schedule([[u8; 16]; KEYS]);

impl Schedule {
    /// For encryption.
    #[allow(unsafe_code, reason = "calls a function compiled for units that were found at run time")]
    pub(super) fn encrypting(_: Found, key: &[u8; 32]) -> Self {
        // SAFETY: `Found` shows that the processor has the units.
        Self(unsafe { expand(key) })
    }

    /// For decryption, by the equivalent inverse cipher.
    #[allow(unsafe_code, reason = "calls a function compiled for units that were found at run time")]
    pub(super) fn decrypting(&self, _: Found) -> Self {
        // SAFETY: `Found` shows that the processor has the units.
        Self(unsafe { invert(&self.0) })
    }

    /// Each round key four times.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn wide(&self) -> [__m512i; KEYS] {
        let mut wide = [_mm512_setzero_si512(); KEYS];
        for (wide, key) in wide.iter_mut().zip(&self.0) {
            *wide = four(key);
        }
        wide
    }
}

/// The prefix XOR of the four words: each becomes the XOR of itself and those below.
#[inline]
#[target_feature(enable = "sse2")]
fn prefix(key: __m128i) -> __m128i {
    let key = _mm_xor_si128(key, _mm_slli_si128::<4>(key));
    _mm_xor_si128(key, _mm_slli_si128::<8>(key))
}

#[inline]
#[target_feature(enable = "aes,avx512f")]
fn even<const RCON: i32>(two_ago: __m128i, last: __m128i) -> __m128i {
    let word = _mm_shuffle_epi32::<0xff>(_mm_aeskeygenassist_si128::<RCON>(last));
    _mm_xor_si128(prefix(two_ago), word)
}

#[inline]
#[target_feature(enable = "aes,avx512f")]
fn odd(two_ago: __m128i, last: __m128i) -> __m128i {
    let word = _mm_shuffle_epi32::<0xaa>(_mm_aeskeygenassist_si128::<0>(last));
    _mm_xor_si128(prefix(two_ago), word)
}

#[target_feature(enable = "aes,avx512f")]
fn expand(key: &[u8; 32]) -> [[u8; 16]; KEYS] {
    let (halves, _) = key.as_chunks::<16>();
    let k0 = load_block(&halves[0]);
    let k1 = load_block(&halves[1]);
    let k2 = even::<0x01>(k0, k1);
    let k3 = odd(k1, k2);
    let k4 = even::<0x02>(k2, k3);
    let k5 = odd(k3, k4);
    let k6 = even::<0x04>(k4, k5);
    let k7 = odd(k5, k6);
    let k8 = even::<0x08>(k6, k7);
    let k9 = odd(k7, k8);
    let k10 = even::<0x10>(k8, k9);
    let k11 = odd(k9, k10);
    let k12 = even::<0x20>(k10, k11);
    let k13 = odd(k11, k12);
    let k14 = even::<0x40>(k12, k13);
    let mut keys = [[0; 16]; KEYS];
    for (to, key) in keys.iter_mut().zip([k0, k1, k2, k3, k4, k5, k6, k7, k8, k9, k10, k11, k12, k13, k14]) {
        *to = block_bytes(key);
    }
    keys
}

#[target_feature(enable = "aes,avx512f")]
fn invert(keys: &[[u8; 16]; KEYS]) -> [[u8; 16]; KEYS] {
    let mut inverse = *keys;
    inverse.reverse();
    for key in &mut inverse[1..KEYS - 1] {
        *key = block_bytes(_mm_aesimc_si128(load_block(key)));
    }
    inverse
}
