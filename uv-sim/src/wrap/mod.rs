//! Wrappers around backends: they see or disturb what passes through, and none of it is a flag inside the thing wrapped.
//!
//! | wrapper | around | does |
//! |---|---|---|
//! | [`Flaky`] | normal memory, or a VM | refuses some calls, on a schedule that a seed fixes |
//! | [`Stalled`] | normal memory | lets one access stand still until it is told to go on |
//! | [`Traced`] | normal memory, or a VM | keeps an event for each call and its result |
//!
//! [`Recorder`], [`Replayer`] and [`Draws`] (which calls are disturbed) are what the wrappers around the machines' own seams have in
//! common (`uv_s390::wrap`, `uv_power::wrap`).
//!
//! They nest: `Traced<Flaky<M>>` shows what a disturbed backend answered. A wrapped VM has the abilities of the VM inside, and
//! enters secure mode with a wrapped virtual CPU.

/// What a wrapped VM answers as the VM inside: size, slots, state, and which abilities there are.
macro_rules! as_inside {
    () => {
        fn page_size(&self) -> PageSize {
            self.inner.page_size()
        }

        fn mem_slots(&self) -> MemSlots {
            self.inner.mem_slots()
        }

        fn vm_state(&self) -> VmState {
            self.inner.vm_state()
        }

        fn as_page_out(&self) -> Option<&dyn PageOut<Error = Self::Error>> {
            self.inner.as_page_out().is_some().then_some(self)
        }

        fn as_share_pages(&self) -> Option<&dyn SharePages<Error = Self::Error>> {
            self.inner.as_share_pages().is_some().then_some(self)
        }

        fn as_accept_sharing(&self) -> Option<&dyn AcceptSharing<Error = Self::Error>> {
            self.inner.as_accept_sharing().is_some().then_some(self)
        }

        fn as_destroy_pages(&self) -> Option<&dyn DestroyPages<Error = Self::Error>> {
            self.inner.as_destroy_pages().is_some().then_some(self)
        }
    };
}

mod draws;
mod flaky;
mod record;
mod stalled;
#[cfg(test)]
mod tests;
mod traced;

pub use draws::{Drawn, Draws};
pub use flaky::{Flaky, FlakyError, FlakyVcpu, FlakyVm};
pub use record::{Recorder, Replayer};
pub use stalled::Stalled;
pub use traced::{Ended, Event, EventLog, Ran, Traced, TracedVcpu, TracedVm};
