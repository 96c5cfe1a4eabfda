//! Seeded mutations: the same seed gives the same inputs on every machine.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Numbers that lengths, counts and offsets are replaced by.
const EDGES: [u64; 14] = [
    0,
    1,
    2,
    15,
    0x7f,
    0xff,
    0x1000,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    0xffff_ffff_ffff_f000,
    0x7fff_ffff_ffff_ffff,
    u64::MAX,
];
const LONGEST_NOISE: u64 = 600;

/// A stream of damaged copies of valid inputs.
#[derive(Debug, Clone)]
pub struct Mutator {
    rng: ChaCha8Rng,
    seeds: Vec<Vec<u8>>,
}

impl Mutator {
    /// Starts from `seeds`; `seed` fixes the stream.
    #[must_use]
    pub fn new(seeds: Vec<Vec<u8>>, seed: u64) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), seeds }
    }

    fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.rng.next_u64() % limit).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.rng.next_u32().to_le_bytes()[0]
    }

    fn noise(&mut self) -> Vec<u8> {
        let length = usize::try_from(self.rng.next_u64() % LONGEST_NOISE).unwrap_or(0);
        let mut bytes = vec![0; length];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    fn pick(&mut self) -> Vec<u8> {
        let at = self.below(self.seeds.len());
        self.seeds.get(at).cloned().unwrap_or_default()
    }

    /// One place in `bytes`; half of the time near the start, where most formats keep their fields.
    fn place(&mut self, bytes: &[u8]) -> usize {
        let near = bytes.len().min(192);
        if self.rng.next_u32() & 1 == 0 { self.below(near) } else { self.below(bytes.len()) }
    }

    fn edit(&mut self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return bytes.extend(self.noise());
        }
        let at = self.place(bytes);
        match self.below(8) {
            0 | 1 => bytes[at] ^= 1 << self.below(8),
            2 => bytes[at] = self.byte(),
            3 | 4 => self.number(bytes, at),
            5 => {
                let length = self.below(bytes.len() + 1);
                bytes.truncate(length);
            }
            6 => {
                // A piece of any seed over or between the bytes.
                let from = self.pick();
                let start = self.below(from.len());
                let end = from.len().min(start + self.below(256));
                let replaced = if self.rng.next_u32() & 1 == 0 { at } else { bytes.len().min(at + end - start) };
                bytes.splice(at..replaced, from[start..end].iter().copied());
            }
            _ => {
                let end = bytes.len().min(at + 1 + self.below(64));
                bytes.drain(at..end);
            }
        }
    }

    /// A field of 1, 2, 4 or 8 bytes, aligned or not, in either byte order.
    fn number(&mut self, bytes: &mut [u8], at: usize) {
        let size = 1 << self.below(4);
        let at = if self.rng.next_u32() & 3 == 0 { at } else { at & !(size - 1) };
        let edge = self.below(EDGES.len());
        let mut value = EDGES[edge].to_be_bytes();
        if self.rng.next_u32() & 3 == 0 {
            value.reverse();
            value.rotate_right(size);
        }
        let last = at.saturating_add(size).min(bytes.len());
        let field = &mut bytes[at..last];
        let short = value.len() - field.len();
        field.copy_from_slice(&value[short..]);
    }
}

impl Iterator for Mutator {
    type Item = Vec<u8>;

    /// The next input; the stream does not end.
    fn next(&mut self) -> Option<Vec<u8>> {
        if self.below(16) == 0 {
            return Some(self.noise());
        }
        let mut bytes = self.pick();
        for _ in 0..=self.below(4) {
            self.edit(&mut bytes);
        }
        Some(bytes)
    }
}
