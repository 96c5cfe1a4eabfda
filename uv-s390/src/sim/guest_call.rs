//! UV calls of a protected guest.
//!
//! That the CPU is in supervisor state was checked before, as for every privileged instruction (`sie::instruction`). The
//! checks of `dispatch` come first here, in guest role; an inaccessible control block is the guest's own page translation
//! exception. Where a call needs a guest page that is not secure, the host takes the program interruption and the guest
//! issues the call again.

use alloc::sync::Arc;
use alloc::vec::Vec;

use zerocopy::FromBytes;
use zeroize::Zeroizing;

use super::answer::Refusal;
use super::conf::Conf;
use super::dispatch::{admit, finish};
use super::guest::InsnResult;
use super::machine::Machine;
use super::view::GuestView;
use crate::abi::uvc::{Cc, ProgramInterruption};
use crate::abi::uvcb::{Role, UvCommand, UvcbHeader};

/// What became of a guest's call.
pub(super) enum Called {
    /// Condition code and control block, or an exception in the guest.
    Done(InsnResult),
    /// The host takes this.
    Interrupted(ProgramInterruption),
    /// Interception 108: a pinned page is to be unpinned. With the control block.
    Intercept(Vec<u8>),
}

impl Machine {
    /// Issues a guest's call.
    pub(super) fn guest_call(&self, conf: &Arc<Conf>, mut block: Vec<u8>) -> Called {
        let answer = match admit(&block, self.generation, Role::Guest) {
            Err(Refusal::Interrupted(interruption)) => {
                return Called::Done(InsnResult::Exception(interruption.code));
            }
            Err(refusal) => Err(refusal),
            Ok(command) => self.guest_command(&GuestView::new(self, conf), command, &mut block),
        };
        let command = UvcbHeader::ref_from_prefix(&block).map_or(UvCommand(0), |(header, _)| header.command());
        tracing::trace!(%command, ?answer, "guest UVC");
        if answer == Err(Refusal::Intercept) {
            return Called::Intercept(block);
        }
        match finish(&mut block, answer) {
            Ok(cc) => Called::Done(InsnResult::Data { cc: Cc::into(cc), bytes: Zeroizing::new(block) }),
            Err(interruption) => Called::Interrupted(interruption),
        }
    }
}
