//! Calls that are done part by part.
//!
//! A call over many pages does a bounded number of them, answers cc 3, and goes on with the rest when the same, unchanged
//! control block comes again (s390-ultravisor §1.1). What is left to do is read from the pages themselves, so nothing but
//! the control block has to be remembered:
//!
//! | call | pages for each issue | left to do |
//! |---|---|---|
//! | DESTROY_SEC_CONF | [`DESTROY_SLICE`] | frames of the configuration |
//! | SET_UNSHARE_ALL | [`UNSHARE_SLICE`] | pages that are shared |
//! | DUMP_CONF_STOR_STATE | all of its MiB | pages that are private still; only when another call holds one |
//!
//! A call that changes what the rest would have been done to (a CPU's state or reset, begin and end of a dump) makes it
//! impossible to go on: the control block then gets rc 0x0007, once; issued a second time it begins anew. Public sources
//! name the code and not its causes (UNSURE).

use alloc::vec::Vec;

use spin::Mutex;

use super::answer::{Answer, Refusal};
use crate::abi::uvc::{Block, UvRc};

/// Frames that one issue of DESTROY_SEC_CONF gives back.
pub(crate) const DESTROY_SLICE: usize = 512;
/// Pages that one issue of SET_UNSHARE_ALL makes private.
pub(crate) const UNSHARE_SLICE: usize = 256;

/// A call that has answered cc 3.
#[derive(Debug, PartialEq, Eq)]
struct Partial {
    /// The control block, without rc and rrc.
    block: Vec<u8>,
    /// Whether it can go on.
    resumable: bool,
}

/// The call on a configuration that has answered cc 3 last.
#[derive(Debug, Default)]
pub(crate) struct Resumable(Mutex<Option<Partial>>);

impl Resumable {
    /// Carries out a call that may stop half way.
    ///
    /// # Errors
    /// rc 0x0007 for a control block that was partially done and cannot go on; else those of `act`.
    pub(crate) fn in_parts<B: Block>(&self, block: &B, act: impl FnOnce() -> Answer) -> Answer {
        let key = key(block.as_bytes());
        let mut partial = self.0.lock();
        let again = partial.take_if(|partial| partial.block == key);
        drop(partial);
        if again.is_some_and(|partial| !partial.resumable) {
            return Err(UvRc::NO_RESUME.into());
        }
        let answer = act();
        if answer == Err(Refusal::Partial) {
            *self.0.lock() = Some(Partial { block: key, resumable: true });
        }
        answer
    }

    /// What a partial call was at work on has changed: it cannot go on.
    pub(crate) fn changed(&self) {
        if let Some(partial) = &mut *self.0.lock() {
            partial.resumable = false;
        }
    }
}

/// What makes two control blocks the same: all that the caller wrote.
fn key(block: &[u8]) -> Vec<u8> {
    let mut key = block.to_vec();
    if let Some(answer) = key.get_mut(4..8) {
        answer.fill(0);
    }
    key
}
