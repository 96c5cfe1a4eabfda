//! Refusals on a schedule.

mod vcpu;
mod vm;

use rand_core::Rng;
use spin::Mutex;
use uv_core::{AccessError, HostAddr, NormalMemory};

use crate::rng::SimRng;

pub use vcpu::FlakyVcpu;
pub(super) use vm::lacking;
pub use vm::{FlakyError, FlakyVm};

/// Decides which calls are refused: each with the chance of `chance` in 256.
struct Schedule {
    rng: Mutex<SimRng>,
    chance: u8,
}

impl Schedule {
    fn new(seed: u64, chance: u8) -> Self {
        Self { rng: Mutex::new(SimRng::from_seed(seed).fork("flaky")), chance }
    }

    fn strikes(&self) -> bool {
        let [byte, ..] = self.rng.lock().next_u32().to_le_bytes();
        byte < self.chance
    }
}

/// Normal memory that is sometimes not there, as when the hypervisor unmaps a page under a running call.
pub struct Flaky<M> {
    inner: M,
    schedule: Schedule,
}

impl<M> core::fmt::Debug for Flaky<M> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Flaky").field("chance", &self.schedule.chance).finish_non_exhaustive()
    }
}

impl<M> Flaky<M> {
    /// Wraps memory: each access fails with the chance of `chance` in 256.
    pub fn new(inner: M, seed: u64, chance: u8) -> Self {
        Self { inner, schedule: Schedule::new(seed, chance) }
    }

    fn unless_struck(&self, at: HostAddr, len: usize) -> Result<(), AccessError> {
        if self.schedule.strikes() { Err(AccessError::Unmapped { at, len }) } else { Ok(()) }
    }
}

impl<M: NormalMemory> NormalMemory for Flaky<M> {
    fn read(&self, at: HostAddr, into: &mut [u8]) -> Result<(), AccessError> {
        self.unless_struck(at, into.len())?;
        self.inner.read(at, into)
    }

    fn write(&self, at: HostAddr, from: &[u8]) -> Result<(), AccessError> {
        self.unless_struck(at, from.len())?;
        self.inner.write(at, from)
    }

    fn check(&self, at: HostAddr, len: u64) -> Result<(), AccessError> {
        self.unless_struck(at, usize::try_from(len).unwrap_or(usize::MAX))?;
        self.inner.check(at, len)
    }
}
