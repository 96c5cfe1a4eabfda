//! A script for guests that are asked for their next step and told what came of the last one.

use uv_conformance::{GuestOp, Saw, Script};

/// The tasks of such a guest.
pub(crate) struct Tasks {
    script: Script,
    working: bool,
}

impl Tasks {
    pub(crate) fn new(script: Script) -> Self {
        Self { script, working: false }
    }

    /// The guest's next operation; `last` is what came of the one before, if there was one.
    pub(crate) fn next(&mut self, last: impl FnOnce() -> Saw) -> Option<GuestOp> {
        if self.working {
            self.script.done(last());
        }
        let now = self.script.now();
        self.working = now.is_some();
        now
    }
}
