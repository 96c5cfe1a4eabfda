//! Decisions out of fuzzed bytes.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// Bytes to decide by, long enough for a whole run.
pub(crate) fn decisions() -> Vec<Vec<u8>> {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    (0..8)
        .map(|_| {
            let mut bytes = vec![0; 2000];
            rng.fill_bytes(&mut bytes);
            bytes
        })
        .collect()
}

/// Takes the bytes from front to back; zeros when they are used up.
pub(crate) struct Feed<'a>(&'a [u8]);

impl<'a> Feed<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let present = self.0.len().min(N);
        let (taken, rest) = self.0.split_at(present);
        bytes[..present].copy_from_slice(taken);
        self.0 = rest;
        bytes
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let [byte] = self.bytes();
        byte
    }

    /// True for one byte in `count`.
    pub(crate) fn one_in(&mut self, count: u8) -> bool {
        self.byte().is_multiple_of(count)
    }

    pub(crate) fn half(&mut self) -> u16 {
        u16::from_be_bytes(self.bytes())
    }

    pub(crate) fn word(&mut self) -> u64 {
        u64::from_be_bytes(self.bytes())
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit.max(1)
    }

    /// One of `choices`.
    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        let at = self.below(choices.len());
        choices.get(at).copied()
    }
}

/// Numbers that calls take: what is known to mean something, and what the bytes say.
pub(crate) struct Numbers {
    known: Vec<u64>,
}

/// So many numbers are remembered at most.
const REMEMBERED: usize = 200;

impl Numbers {
    pub(crate) fn new(known: &[u64]) -> Self {
        Self { known: known.to_vec() }
    }

    /// Remembers a number that the machine gave: a handle, an address.
    pub(crate) fn learn(&mut self, number: u64) {
        if number != 0 && !self.known.contains(&number) && self.known.len() < REMEMBERED {
            self.known.push(number);
        }
    }

    pub(crate) fn take(&self, feed: &mut Feed<'_>) -> u64 {
        let known = feed.pick(&self.known).unwrap_or_default();
        match feed.byte() % 16 {
            0 => feed.word(),
            1 => u64::from(feed.half()),
            2 => known.wrapping_add(u64::from(feed.byte()) << 12),
            3 => known ^ 1 << (feed.byte() % 64),
            4 => 0,
            _ => known,
        }
    }
}
