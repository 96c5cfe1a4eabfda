//! Which calls a wrapper disturbs.

use alloc::collections::BTreeMap;

use rand_core::Rng;
use spin::Mutex;

use crate::rng::SimRng;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drawn {
    /// It is disturbed, for the reason with this place in the list of chances.
    Struck(usize),
    /// It passes, as this one of its kind that does: 0 for the first.
    Passes(u32),
}

/// Draws which calls are disturbed, for wrappers around the seam of a machine: the same seed and the same calls give the same
/// draws.
///
/// `K` tells the kinds of calls apart.
#[derive(Debug)]
pub struct Draws<K>(Mutex<State<K>>);

#[derive(Debug)]
struct State<K> {
    rng: SimRng,
    passed: BTreeMap<K, u32>,
    run: u32,
}

impl<K: Ord> Draws<K> {
    /// Most disturbed calls in a row: a caller that tries again often enough always comes through.
    pub const LONGEST_RUN: u32 = 8;

    /// Draws that follow from a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let rng = SimRng::from_seed(seed).fork("disturbed calls");
        Self(Mutex::new(State { rng, passed: BTreeMap::new(), run: 0 }))
    }

    /// Draws for the next call. `chances` has one entry for each reason to disturb it: in how many of 256 calls it strikes.
    pub fn next(&self, kind: K, chances: &[u8]) -> Drawn {
        let mut state = self.0.lock();
        let [draw, ..] = state.rng.next_u64().to_be_bytes();
        let mut below = 0;
        let struck = chances.iter().position(|chance| {
            below += u32::from(*chance);
            u32::from(draw) < below
        });
        if let Some(reason) = struck
            && state.run < Self::LONGEST_RUN
        {
            state.run += 1;
            return Drawn::Struck(reason);
        }
        state.run = 0;
        let passed = state.passed.entry(kind).or_default();
        let nth = *passed;
        *passed = nth.saturating_add(1);
        Drawn::Passes(nth)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::{Drawn, Draws};

    fn draws(seed: u64, chances: &[u8]) -> Vec<Drawn> {
        let draws = Draws::new(seed);
        (0..100).map(|call| draws.next(call % 2, chances)).collect()
    }

    #[test]
    fn a_seed_says_which_calls_are_struck() {
        assert_eq!(draws(1, &[64, 64]), draws(1, &[64, 64]));
        assert_ne!(draws(1, &[64, 64]), draws(2, &[64, 64]));
        assert!([Drawn::Struck(0), Drawn::Struck(1), Drawn::Passes(0)].iter().all(|d| draws(1, &[64, 64]).contains(d)));
        assert_eq!(draws(1, &[])[..4], [0, 0, 1, 1].map(Drawn::Passes), "each kind is counted alone");
    }

    #[test]
    fn after_eight_in_a_row_one_passes() {
        let all = draws(1, &[255, 255]);
        assert_eq!(all[..8], [all[0]; 8].map(|_| all[0]));
        assert_eq!((all[8], all[17]), (Drawn::Passes(0), Drawn::Passes(0)), "calls 8 and 17 are of two kinds");
    }
}
