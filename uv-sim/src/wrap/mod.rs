//! Wrappers around backends: they see or disturb what passes through, and none of it is a flag inside the thing wrapped.
//!
//! | wrapper | around | does |
//! |---|---|---|
//! | [`Flaky`], [`FlakyVm`], [`FlakyVcpu`] | normal memory, a VM, a virtual CPU | refuses some calls, on a schedule that a seed fixes |
//! | [`Traced`], [`TracedVm`], [`TracedVcpu`] | normal memory, a VM, a virtual CPU | keeps an event for each call and its result |
//!
//! They nest: `Traced<Flaky<M>>` shows what a disturbed backend answered. A wrapped VM has the abilities of the VM inside, and
//! enters secure mode with a wrapped virtual CPU.

mod flaky;
#[cfg(test)]
mod tests;
mod traced;

pub use flaky::{Flaky, FlakyError, FlakyVcpu, FlakyVm};
pub use traced::{Ended, Event, EventLog, Ran, Traced, TracedVcpu, TracedVm};
