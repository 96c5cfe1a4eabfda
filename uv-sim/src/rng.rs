//! Random numbers of the simulator: reproducible from one seed.
//!
//! Everything random inside a simulated machine (keys, nonces, identifiers, fault schedules) is drawn from a
//! [`SimRng`]. One 64-bit seed fixes it all, so a run can be repeated. [`SimRng::fork`] gives each user its own stream, so
//! that one user's extra draw does not shift another's numbers.
//!
//! The stream is ChaCha20, but 64 bits of seed are *no* secret worth the name: a simulator's keys protect nothing.

use core::convert::Infallible;
use core::fmt;

use rand_chacha::ChaCha20Rng;
use rand_core::{SeedableRng, TryCryptoRng, TryRng};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use uv_crypto::digest::sha256;

/// A seeded ChaCha20 generator with named sub-streams.
///
/// Implements [`rand_core::Rng`] and [`rand_core::CryptoRng`]. `Debug` shows nothing; there is no `Clone`, since
/// two generators giving the same numbers are a fault in a key generator (fork instead).
///
/// ```
/// use rand_core::Rng;
/// use uv_sim::rng::SimRng;
///
/// let root = SimRng::from_seed(42);
/// let mut vm = root.fork("vm 1");
/// assert_eq!(vm.next_u64(), SimRng::from_seed(42).fork("vm 1").next_u64());
/// assert_ne!(vm.next_u64(), root.fork("vm 2").next_u64());
/// ```
pub struct SimRng {
    seed: Zeroizing<[u8; 32]>,
    stream: Stream,
}

/// The generator itself, which holds its key: wiped on drop.
struct Stream(ChaCha20Rng);

impl Zeroize for Stream {
    fn zeroize(&mut self) {
        self.0 = ChaCha20Rng::from_seed([0; 32]);
        // Keeps the compiler from dropping the assignment: the new key must be in memory.
        zeroize::optimization_barrier(&self.0);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.zeroize();
    }
}

impl ZeroizeOnDrop for Stream {}

impl fmt::Debug for SimRng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimRng(..)")
    }
}

impl SimRng {
    /// The root generator of one run.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self::from_key(sha256(&[b"uv-sim rng root", &seed.to_be_bytes()]))
    }

    /// An independent generator named `label`.
    ///
    /// It depends on this generator's own seed and on the label only, not on how many numbers were drawn before: the same
    /// label gives the same stream again, so labels must differ where streams must.
    #[must_use]
    pub fn fork(&self, label: &str) -> Self {
        Self::from_key(sha256(&[b"uv-sim rng fork", self.seed.as_ref(), label.as_bytes()]))
    }

    fn from_key(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        Self { stream: Stream(ChaCha20Rng::from_seed(*seed)), seed }
    }
}

impl TryRng for SimRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.stream.0.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.stream.0.try_next_u64()
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        self.stream.0.try_fill_bytes(dst)
    }
}

impl TryCryptoRng for SimRng {}

#[cfg(test)]
mod tests {
    use alloc::format;

    use rand_core::Rng;

    use super::*;

    fn draw(mut rng: SimRng) -> [u8; 40] {
        let mut bytes = [0; 40];
        rng.fill_bytes(&mut bytes);
        bytes
    }

    #[test]
    fn one_seed_one_stream() {
        assert_eq!(draw(SimRng::from_seed(1)), draw(SimRng::from_seed(1)));
        assert_ne!(draw(SimRng::from_seed(1)), draw(SimRng::from_seed(2)));
    }

    #[test]
    fn numbers_are_the_bytes_of_the_stream() {
        let mut rng = SimRng::from_seed(1);
        let (first, second) = (rng.next_u64(), rng.next_u32());
        let bytes = draw(SimRng::from_seed(1));
        assert_eq!((&first.to_le_bytes()[..], &second.to_le_bytes()[..]), (&bytes[..8], &bytes[8..12]));
    }

    #[test]
    fn forks_do_not_depend_on_draws() {
        let mut root = SimRng::from_seed(3);
        let before = draw(root.fork("a"));
        let _ = root.next_u64();
        assert_eq!(before, draw(root.fork("a")));
        assert_ne!(before, draw(root.fork("b")));
        assert_ne!(before, draw(root.fork("a").fork("a")));
        assert_ne!(before, draw(root));
    }

    #[test]
    fn a_stream_is_wiped_on_drop() {
        fn wiped_on_drop<T: ZeroizeOnDrop>(_: &T) {}
        let mut rng = SimRng::from_seed(3);
        wiped_on_drop(&rng.seed);
        wiped_on_drop(&rng.stream);
        let _ = rng.next_u64();
        rng.stream.zeroize();
        let of_zeros = SimRng { stream: Stream(ChaCha20Rng::from_seed([0; 32])), seed: Zeroizing::new([0; 32]) };
        assert_eq!(draw(rng), draw(of_zeros), "neither key nor position is left");
    }

    #[test]
    fn debug_is_redacted() {
        assert_eq!(format!("{:?}", SimRng::from_seed(3)), "SimRng(..)");
    }
}
