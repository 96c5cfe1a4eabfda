//! What a guest of the suite still has to do, and what it saw.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{GuestOp, Saw};

#[derive(Default)]
struct Lists {
    todo: VecDeque<GuestOp>,
    saw: Vec<Saw>,
}

/// What a guest is told to do and what it saw, shared by the suite, the backend and its guest. Cloning gives another handle.
#[derive(Clone, Default)]
pub struct Script(Arc<Mutex<Lists>>);

impl core::fmt::Debug for Script {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Script").field("left", &self.lock().todo.len()).finish_non_exhaustive()
    }
}

impl Script {
    fn lock(&self) -> MutexGuard<'_, Lists> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets everything: the guest is booted.
    pub fn clear(&self) {
        *self.lock() = Lists::default();
    }

    /// The guest has this to do, after what it was told before.
    pub fn tell(&self, op: GuestOp) {
        self.lock().todo.push_back(op);
    }

    /// What the guest saw since it was booted.
    #[must_use]
    pub fn saw(&self) -> Vec<Saw> {
        self.lock().saw.clone()
    }

    /// What the guest has to do now; the same until it is [done](Script::done).
    #[must_use]
    pub fn now(&self) -> Option<GuestOp> {
        self.lock().todo.front().cloned()
    }

    /// What came of what the guest had to do now; the next is at hand.
    pub fn done(&self, saw: Saw) {
        let mut lists = self.lock();
        lists.todo.pop_front();
        lists.saw.push(saw);
    }
}
