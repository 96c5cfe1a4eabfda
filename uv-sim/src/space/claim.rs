//! A claim on one page: nobody else moves it until the claim ends, and a claim that is dropped leaves it as it was.

use core::cell::Cell;

use uv_core::Gfn;

use super::SecureSpace;
use crate::fault::SpaceError;
use crate::pool::{FrameGuard, FrameId};
use crate::table::{ClaimError, Word};

pub(super) struct Claim<'a> {
    space: &'a SecureSpace,
    gfn: Gfn,
    old: Word,
    new: Cell<Word>,
}

impl<'a> Claim<'a> {
    pub(super) fn new(space: &'a SecureSpace, gfn: Gfn) -> Result<Self, SpaceError> {
        let old = space.table.claim(gfn).map_err(|error| match error {
            ClaimError::OutOfRange => SpaceError::OutOfRange(gfn),
            ClaimError::Busy => SpaceError::Busy(gfn),
            ClaimError::Closed => SpaceError::Closed,
        })?;
        Ok(Self { space, gfn, old, new: Cell::new(old) })
    }

    pub(super) fn gfn(&self) -> Gfn {
        self.gfn
    }

    pub(super) fn old(&self) -> Word {
        self.old
    }

    pub(super) fn wrong_state(&self) -> SpaceError {
        SpaceError::State { gfn: self.gfn, state: self.old.state() }
    }

    /// The frame of a secure page. A guest access that looks at it right now is waited for.
    pub(super) fn frame(&self) -> FrameGuard<'a> {
        self.space.pool.lock(FrameId(self.old.index()))
    }

    /// Sets the word the page gets when the claim ends.
    pub(super) fn commit_word(&self, word: Word) {
        self.new.set(word);
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.space.table.release(self.gfn, self.new.get());
    }
}
