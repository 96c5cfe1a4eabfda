//! A virtual CPU with a log.

use alloc::sync::Arc;

use uv_core::{ErrorType, Exit, Vcpu};

use super::{Event, EventLog, Ran};

/// A virtual CPU with a log.
pub struct TracedVcpu<C> {
    pub(super) inner: C,
    log: EventLog,
}

impl<C> core::fmt::Debug for TracedVcpu<C> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TracedVcpu").field("events", &self.log.lock().len()).finish_non_exhaustive()
    }
}

impl<C> TracedVcpu<C> {
    /// Wraps a virtual CPU; events go to the end of `log`.
    pub fn new(inner: C, log: &EventLog) -> Self {
        Self { inner, log: Arc::clone(log) }
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

impl<C: ErrorType> ErrorType for TracedVcpu<C> {
    type Error = C::Error;
}

impl<C: Vcpu> Vcpu for TracedVcpu<C> {
    type Arch = C::Arch;

    fn run(&mut self) -> Result<Exit<Self::Arch>, Self::Error> {
        let result = self.inner.run();
        self.log.lock().push(Event::Run(Ran::of(&result)));
        result
    }
}
