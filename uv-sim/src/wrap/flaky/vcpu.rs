//! A virtual CPU that is sometimes not entered.

use uv_core::{ErrorType, Exit, Vcpu};

use super::{FlakyError, Schedule};

/// A virtual CPU that is sometimes stopped before it is entered, as by a signal to its thread.
pub struct FlakyVcpu<C> {
    pub(super) inner: C,
    pub(super) schedule: Schedule,
}

impl<C> core::fmt::Debug for FlakyVcpu<C> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("FlakyVcpu").field("chance", &self.schedule.chance).finish_non_exhaustive()
    }
}

impl<C> FlakyVcpu<C> {
    /// Wraps a virtual CPU: each run fails with the chance of `chance` in 256.
    pub fn new(inner: C, seed: u64, chance: u8) -> Self {
        Self { inner, schedule: Schedule::new(seed, chance) }
    }

    /// The virtual CPU inside.
    pub const fn inner(&self) -> &C {
        &self.inner
    }

    /// The virtual CPU inside, to answer an exit.
    pub const fn inner_mut(&mut self) -> &mut C {
        &mut self.inner
    }
}

impl<C: ErrorType> ErrorType for FlakyVcpu<C> {
    type Error = FlakyError<C::Error>;
}

impl<C: Vcpu> Vcpu for FlakyVcpu<C> {
    type Arch = C::Arch;

    fn run(&mut self) -> Result<Exit<Self::Arch>, Self::Error> {
        if self.schedule.strikes() {
            return Err(FlakyError::Struck);
        }
        self.inner.run().map_err(FlakyError::Inner)
    }
}
