//! Showing each call and entry to a function.

use uv_core::MemSlots;

use super::{Instruction, RecordedCall};
use crate::abi::regs::{Lpid, Regs};
use crate::abi::{GuestEntry, Ultracall};

/// Passes calls and entries on and shows each to a function when it has ended: to count them, or to tell them as they happen.
///
/// The function is called by every thread that stands for a CPU, with no lock held.
pub struct Watched<S, F> {
    inner: S,
    show: F,
}

impl<S, F: Fn(&RecordedCall)> Watched<S, F> {
    /// Shows what goes to `inner`.
    pub const fn new(inner: S, show: F) -> Self {
        Self { inner, show }
    }
}

impl<S: core::fmt::Debug, F> core::fmt::Debug for Watched<S, F> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Watched").field(&self.inner).finish()
    }
}

impl<S: Ultracall, F: Fn(&RecordedCall) + Send + Sync> Ultracall for Watched<S, F> {
    fn ultracall(&self, regs: &mut Regs) {
        (self.show)(&RecordedCall::of(Instruction::Sc2, regs, |regs| self.inner.ultracall(regs)));
    }
}

impl<S: GuestEntry, F: Fn(&RecordedCall) + Send + Sync> GuestEntry for Watched<S, F> {
    fn enter(&self, regs: &mut Regs) {
        (self.show)(&RecordedCall::of(Instruction::Hrfid, regs, |regs| self.inner.enter(regs)));
    }

    fn set_partition_memory(&self, lpid: Lpid, slots: Option<&MemSlots>) {
        self.inner.set_partition_memory(lpid, slots);
    }
}
