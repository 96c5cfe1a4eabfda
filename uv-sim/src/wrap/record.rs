//! Keeping calls, and answering them again.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use spin::Mutex;

/// Passes calls on to `inner` and keeps them, in the order in which they ended. `C` is what a machine keeps of a call.
#[derive(Debug)]
pub struct Recorder<S, C> {
    inner: S,
    calls: Mutex<Vec<C>>,
}

impl<S, C> Recorder<S, C> {
    /// Records what goes to `inner`.
    #[must_use]
    pub const fn new(inner: S) -> Self {
        Self { inner, calls: Mutex::new(Vec::new()) }
    }

    /// What is wrapped.
    #[must_use]
    pub const fn inner(&self) -> &S {
        &self.inner
    }

    /// Keeps a call that has ended: for the machine's seam.
    pub fn keep(&self, call: C) {
        self.calls.lock().push(call);
    }

    /// What was recorded and not taken.
    #[must_use]
    pub fn calls(&self) -> Vec<C>
    where
        C: Clone,
    {
        self.calls.lock().clone()
    }

    /// Takes what was recorded; the recording goes on empty.
    pub fn take(&self) -> Vec<C> {
        core::mem::take(&mut *self.calls.lock())
    }
}

/// Answers calls from a recording, without a machine, in the recorded order.
#[derive(Debug)]
pub struct Replayer<C>(Mutex<VecDeque<C>>);

impl<C> Replayer<C> {
    /// Answers from these calls.
    #[must_use]
    pub fn new(calls: impl IntoIterator<Item = C>) -> Self {
        Self(Mutex::new(calls.into_iter().collect()))
    }

    /// Whether every recorded call was asked for.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Uses up the next recorded call if it is the one that is asked for: for the machine's seam.
    pub fn next_if(&self, is_asked: impl FnOnce(&C) -> bool) -> Option<C> {
        self.0.lock().pop_front_if(|call| is_asked(call))
    }
}
