//! A claim on one page: nobody else moves it until the claim ends, and a claim that is dropped leaves it as it was.

use core::cell::Cell;

use uv_core::Gfn;

use super::SecureSpace;
use crate::fault::SpaceError;
use crate::pool::{Frame, FrameId};
use crate::table::Word;

pub(super) struct Claim<'a> {
    space: &'a SecureSpace,
    gfn: Gfn,
    old: Word,
    new: Cell<Word>,
}

impl<'a> Claim<'a> {
    pub(super) fn new(space: &'a SecureSpace, gfn: Gfn) -> Result<Self, SpaceError> {
        let old = match space.table.claim(gfn) {
            None => return Err(SpaceError::OutOfRange(gfn)),
            Some(Err(_)) => return Err(SpaceError::Busy(gfn)),
            Some(Ok(old)) => old,
        };
        let claim = Self { space, gfn, old, new: Cell::new(old) };
        // Only now: a VM that ends takes every page after it has said so, this one included.
        if space.is_closed() { Err(SpaceError::Closed) } else { Ok(claim) }
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

impl SecureSpace {
    /// Takes the frame of a secure page out of its slot. The caller holds the claim; a guest access that looks at the
    /// frame right now is waited for by the slot's lock.
    pub(super) fn remove_frame(&self, word: Word) -> Option<Frame> {
        self.pool.remove(FrameId(word.index()))
    }
}
