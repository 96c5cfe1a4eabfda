//! Wrappers around backends: they see or disturb what passes through, and none of it is a flag inside the thing wrapped.
//!
//! | wrapper | around | does |
//! |---|---|---|
//! | [`Flaky`] | normal memory, or a VM | refuses some calls, on a schedule that a seed fixes |
//! | [`Stalled`] | normal memory | lets one access stand still until it is told to go on |
//! | [`Traced`] | normal memory, or a VM | keeps an event for each call and its result |
//!
//! They nest: `Traced<Flaky<M>>` shows what a disturbed backend answered.

mod flaky;
mod stalled;
#[cfg(test)]
mod tests;
mod traced;

pub use flaky::{Flaky, FlakyError, FlakyVm};
pub use stalled::Stalled;
pub use traced::{Ended, Event, EventLog, Traced, TracedVm};
