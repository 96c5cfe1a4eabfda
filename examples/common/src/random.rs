//! Random numbers of the example programs.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use uv_sim::rng::SimRng;
use zeroize::Zeroizing;

use crate::exit::Failure;

/// A generator seeded by the operating system, or by `seed` for a run that can be repeated. What a seed of 64 bits
/// gives protects nothing.
///
/// # Errors
/// Status 2 if the operating system gives no random numbers.
pub fn rng(seed: Option<u64>) -> Result<ChaCha20Rng, Failure> {
    let mut key = Zeroizing::new([0; 32]);
    match seed {
        Some(seed) => SimRng::from_seed(seed).fill_bytes(key.as_mut()),
        None => getrandom::fill(key.as_mut())
            .map_err(|error| Failure::unusable(format_args!("no random numbers from the system: {error}")))?,
    }
    Ok(ChaCha20Rng::from_seed(*key))
}

#[cfg(test)]
mod tests {
    use super::rng;
    use rand_core::Rng as _;

    #[test]
    fn a_seed_repeats_and_no_seed_does_not() {
        let first = |seed| rng(seed).unwrap().next_u64();
        assert_eq!(first(Some(1)), first(Some(1)));
        assert_ne!(first(Some(1)), first(Some(2)));
        assert_ne!(first(None), first(None));
    }
}
