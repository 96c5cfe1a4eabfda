//! The machine's clock.

use core::sync::atomic::{AtomicU64, Ordering};

/// Clock units in a microsecond: bit 51 of the TOD clock.
pub const TOD_PER_MICROSECOND: u64 = 4096;

/// A TOD clock that moves on only when something happens, so that runs can be repeated.
#[derive(Debug)]
pub(crate) struct Clock(AtomicU64);

impl Clock {
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(1 << 32))
    }

    /// Time in TOD units.
    pub(crate) fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Lets time pass.
    pub(crate) fn advance(&self, units: u64) {
        self.0.fetch_add(units, Ordering::Relaxed);
    }
}
