//! POLYVAL (RFC 8452) over whole strides: 32 blocks at a time, one reduction for them.

use core::arch::x86_64::*;
use core::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::Found;
use super::vector::{Line, block_bytes, fold, load, load_block, xor, xor3};
use crate::STRIDE;

/// Vectors of four blocks in a stride.
const GROUP: usize = STRIDE / 64;

/// POLYVAL under one key. The key is wiped on drop; `Debug` shows nothing.
pub struct Polyval {
    found: Found,
    powers: Powers,
}

/// The key to the powers 32, 31, ... 1.
#[derive(Zeroize, ZeroizeOnDrop)]
struct Powers([Line; GROUP]);

impl fmt::Debug for Polyval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Polyval(..)")
    }
}

impl Polyval {
    /// Computes the powers of the key; `None` where the processor has no units for it.
    #[must_use]
    #[allow(unsafe_code, reason = "calls a function compiled for units that were found at run time")]
    pub fn new(key: &[u8; 16]) -> Option<Self> {
        let found = Found::new()?;
        // SAFETY: `Found` shows that the processor has the units.
        Some(Self { found, powers: Powers(unsafe { powers(key) }) })
    }

    /// POLYVAL of the whole strides of `bytes`, then the block `last`.
    #[must_use]
    #[allow(unsafe_code, reason = "calls a function compiled for units that were found at run time")]
    pub fn hash(&self, bytes: &[u8], last: &[u8; 16]) -> [u8; 16] {
        let Found(()) = self.found;
        // SAFETY: `Found` shows that the processor has the units.
        unsafe { hash(&self.powers.0, bytes, last) }
    }
}

#[target_feature(enable = "avx512f,avx512vl,pclmulqdq,vpclmulqdq")]
fn powers(key: &[u8; 16]) -> [Line; GROUP] {
    let key = load_block(key);
    let mut power = key;
    let mut lines = [[0; 64]; GROUP];
    for line in lines.iter_mut().rev() {
        for block in line.as_chunks_mut::<16>().0.iter_mut().rev() {
            *block = block_bytes(power);
            power = times(power, key);
        }
    }
    lines
}

#[target_feature(enable = "avx512f,avx512vl,pclmulqdq,vpclmulqdq")]
fn hash(powers: &[Line; GROUP], bytes: &[u8], last: &[u8; 16]) -> [u8; 16] {
    let mut keys = [_mm512_setzero_si512(); GROUP];
    for (key, line) in keys.iter_mut().zip(powers) {
        *key = load(line);
    }
    let mut sum = _mm_setzero_si128();
    let (lines, _) = bytes.as_chunks::<64>();
    let (groups, _) = lines.as_chunks::<GROUP>();
    for group in groups {
        let mut low = _mm512_setzero_si512();
        let (mut middle, mut high) = (low, low);
        for at in 0..GROUP {
            let mut data = load(&group[at]);
            if at == 0 {
                // The sum so far lies in front of the first block of the group.
                data = xor(data, _mm512_zextsi128_si512(sum));
            }
            low = xor(low, _mm512_clmulepi64_epi128::<0x00>(data, keys[at]));
            high = xor(high, _mm512_clmulepi64_epi128::<0x11>(data, keys[at]));
            middle = xor3(
                middle,
                _mm512_clmulepi64_epi128::<0x01>(data, keys[at]),
                _mm512_clmulepi64_epi128::<0x10>(data, keys[at]),
            );
        }
        sum = reduce(fold(low), fold(middle), fold(high));
    }
    let (_, key) = powers[GROUP - 1].split_at(48);
    let mut power = [0; 16];
    power.copy_from_slice(key);
    let hash = times(_mm_xor_si128(sum, load_block(last)), load_block(&power));
    block_bytes(hash)
}

/// `a * b * x^-128`.
#[inline]
#[target_feature(enable = "avx512f,pclmulqdq")]
fn times(a: __m128i, b: __m128i) -> __m128i {
    let middle = _mm_xor_si128(_mm_clmulepi64_si128::<0x01>(a, b), _mm_clmulepi64_si128::<0x10>(a, b));
    reduce(_mm_clmulepi64_si128::<0x00>(a, b), middle, _mm_clmulepi64_si128::<0x11>(a, b))
}

/// A product in three parts times `x^-128`: the lower two words are folded up one after the other.
#[inline]
#[target_feature(enable = "avx512f,pclmulqdq")]
fn reduce(low: __m128i, middle: __m128i, high: __m128i) -> __m128i {
    // x^127 + x^126 + x^121 + 1, whose upper word makes what a lower word is worth one word up.
    let polynomial = _mm_set1_epi64x(0xc200_0000_0000_0000_u64.cast_signed());
    let low = _mm_xor_si128(low, _mm_slli_si128::<8>(middle));
    let high = _mm_xor_si128(high, _mm_srli_si128::<8>(middle));
    let once = _mm_xor_si128(_mm_shuffle_epi32::<0x4e>(low), _mm_clmulepi64_si128::<0x00>(low, polynomial));
    let twice = _mm_xor_si128(_mm_shuffle_epi32::<0x4e>(once), _mm_clmulepi64_si128::<0x00>(once, polynomial));
    _mm_xor_si128(twice, high)
}
