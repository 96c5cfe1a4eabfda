//! The tweaks of a data unit, computed ahead in wide integers.
//!
//! The tweak of block *j* is `T * x^j` in GF(2^128) with the polynomial `x^128 + x^7 + x^2 + x + 1`, bytes in
//! little-endian order (IEEE 1619, clause 5.2). Doubling block after block is one long chain; here the first 8 tweaks
//! are made side by side, the next ones by doubling the number of known tweaks, and each further 64 by one multiplication by
//! `x^64` each.

use super::super::block::{Aligned, STRIPE, Stripe, words, words_mut};

/// Tweaks of 64 blocks in a row.
///
/// The halves are kept apart, so that stepping is the same shift in every lane, and once more as they lie in blocks.
pub(super) struct Tweaks {
    low: Aligned<[u64; STRIPE]>,
    high: Aligned<[u64; STRIPE]>,
    blocks: Aligned<[[u64; 2]; STRIPE]>,
}

/// `x^7 + x^2 + x + 1` times an element of degree below 57.
#[inline(always)]
const fn reduce(carry: u64) -> u64 {
    carry ^ (carry << 1) ^ (carry << 2) ^ (carry << 7)
}

/// Multiplies by `x^count`, `count <= 32`.
#[inline(always)]
const fn times_x(low: u64, high: u64, count: u32) -> (u64, u64) {
    // Two shifts, since a shift by 64 (count 0) has no value.
    let carry = high >> 1 >> (63 - count);
    ((low << count) ^ reduce(carry), (high << count) | (low >> 1 >> (63 - count)))
}

/// Multiplies by `x^64`.
#[inline(always)]
const fn times_x64(low: u64, high: u64) -> (u64, u64) {
    (reduce(high), low ^ (high >> 63) ^ (high >> 62) ^ (high >> 57))
}

impl Tweaks {
    /// An empty table.
    #[inline(always)]
    pub(super) const fn new() -> Self {
        Self { low: Aligned([0; STRIPE]), high: Aligned([0; STRIPE]), blocks: Aligned([[0; 2]; STRIPE]) }
    }

    /// Fills the table with the 64 tweaks starting at `first` (the ciphered tweak of the data unit).
    #[inline(always)]
    pub(super) fn start(&mut self, first: &[u8; 16]) {
        let (low, high) = halves(u128::from_le_bytes(*first));
        for ((to_low, to_high), count) in self.low.0[..8].iter_mut().zip(&mut self.high.0[..8]).zip(0..) {
            (*to_low, *to_high) = times_x(low, high, count);
        }
        self.extend::<8>(8);
        self.extend::<16>(16);
        self.extend::<32>(32);
        self.lay_out();
    }

    /// Makes tweaks `N..2N` from tweaks `0..N`; `count` is `N`.
    #[inline(always)]
    fn extend<const N: usize>(&mut self, count: u32) {
        let (low, next_low) = self.low.0.split_at_mut(N);
        let (high, next_high) = self.high.0.split_at_mut(N);
        for lane in 0..N {
            (next_low[lane], next_high[lane]) = times_x(low[lane], high[lane], count);
        }
    }

    /// Moves on to the next 64 tweaks.
    #[inline(always)]
    pub(super) fn advance(&mut self) {
        for lane in 0..STRIPE {
            (self.low.0[lane], self.high.0[lane]) = times_x64(self.low.0[lane], self.high.0[lane]);
        }
        self.lay_out();
    }

    #[inline(always)]
    fn lay_out(&mut self) {
        for lane in 0..STRIPE {
            self.blocks.0[lane] = [self.low.0[lane], self.high.0[lane]];
        }
    }

    /// XORs the tweaks into `from` block by block, giving `to`.
    #[inline(always)]
    pub(super) fn mask(&self, from: &Stripe, to: &mut Stripe) {
        for ((to, from), tweak) in words_mut(to).iter_mut().zip(words(from)).zip(self.blocks.0.as_flattened()) {
            *to = (u64::from_le_bytes(*from) ^ tweak).to_le_bytes();
        }
    }

    /// XORs the tweaks into `blocks`.
    #[inline(always)]
    pub(super) fn mask_in_place(&self, blocks: &mut Stripe) {
        for (word, tweak) in words_mut(blocks).iter_mut().zip(self.blocks.0.as_flattened()) {
            *word = (u64::from_le_bytes(*word) ^ tweak).to_le_bytes();
        }
    }

    /// Clears the table.
    #[inline(always)]
    pub(super) fn wipe(&mut self) {
        *self = Self::new();
        zeroize::optimization_barrier(self);
    }
}

/// Low and high half of a 128-bit integer.
#[inline(always)]
fn halves(value: u128) -> (u64, u64) {
    let bytes = value.to_le_bytes();
    let (low, high) = bytes.split_at(8);
    let mut halves = [[0; 8]; 2];
    halves[0].copy_from_slice(low);
    halves[1].copy_from_slice(high);
    (u64::from_le_bytes(halves[0]), u64::from_le_bytes(halves[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn double(value: u128) -> u128 {
        (value << 1) ^ if value >> 127 == 1 { 0x87 } else { 0 }
    }

    #[test]
    fn tables_follow_plain_doubling() {
        for seed in [1, u128::MAX, 0x8000_0000_0000_0000_0000_0000_0000_0000, 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210]
        {
            let mut expected = seed;
            let mut tweaks = Tweaks::new();
            tweaks.start(&seed.to_le_bytes());
            for _ in 0..5 {
                let zeros = Stripe::default();
                let mut seen = zeros;
                tweaks.mask(&zeros, &mut seen);
                for block in seen {
                    assert_eq!(u128::from_le_bytes(block.0), expected);
                    expected = double(expected);
                }
                tweaks.advance();
            }
            tweaks.wipe();
            assert_eq!((tweaks.low.0, tweaks.high.0, tweaks.blocks.0), ([0; STRIPE], [0; STRIPE], [[0; 2]; STRIPE]));
        }
    }
}
