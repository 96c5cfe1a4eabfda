//! What a guest of the suite still has to do, and what it saw.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uv_conformance::{GuestOp, Saw};

#[derive(Default)]
struct Lists {
    todo: VecDeque<GuestOp>,
    saw: Vec<Saw>,
    working: bool,
}

/// Shared by the backend and its guest.
#[derive(Clone, Default)]
pub(crate) struct Todo(Arc<Mutex<Lists>>);

impl Todo {
    fn lock(&self) -> MutexGuard<'_, Lists> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets everything: the guest is booted.
    pub(crate) fn clear(&self) {
        *self.lock() = Lists::default();
    }

    pub(crate) fn tell(&self, ops: Vec<GuestOp>) {
        self.lock().todo.extend(ops);
    }

    pub(crate) fn saw(&self) -> Vec<Saw> {
        self.lock().saw.clone()
    }

    /// The guest's next operation; `last` is what came of the one before, if there was one.
    pub(crate) fn next(&self, last: impl FnOnce() -> Saw) -> Option<GuestOp> {
        let mut lists = self.lock();
        if lists.working {
            lists.saw.push(last());
        }
        let next = lists.todo.pop_front();
        lists.working = next.is_some();
        next
    }
}
