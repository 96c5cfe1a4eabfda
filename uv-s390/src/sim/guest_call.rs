//! UV calls of a protected guest.
//!
//! That the CPU is in supervisor state was checked before, as for every privileged instruction (`sie::instruction`). The
//! checks of `dispatch` come first here, in guest role; an inaccessible control block is the guest's own page translation
//! exception. Where a call needs a guest page that is not secure, the host takes the program interruption and the guest
//! issues the call again.

use alloc::sync::Arc;
use alloc::vec::Vec;

use uv_core::GuestAddr;
use zerocopy::FromBytes;
use zeroize::Zeroizing;

use super::answer::Refusal;
use super::conf::{Conf, Phase};
use super::dispatch::{admit, finish};
use super::execute::Uvc;
use super::guest::InsnResult;
use super::machine::Machine;
use super::view::{GuestView, ViewError};
use crate::abi::uvc::{Cc, PgmCode, ProgramInterruption};
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

/// What became of a guest's UV call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestAnswer {
    /// The guest goes on behind the instruction with this condition code; the codes are in the control block.
    Done(Cc),
    /// A program interruption in the guest.
    Exception(ProgramInterruption),
    /// The host takes this program interruption, brings in or exports a page, and lets the guest issue the call again. The block
    /// is as it was.
    Host(ProgramInterruption),
    /// Interception 108 (s390-ultravisor §3.3): the host unpins the page that the block names and lets the guest issue the call
    /// again. The block is as it was.
    Intercept,
}

impl Machine {
    /// Issues a UV call of a protected guest, on a control block at a guest absolute address. The answer is stored there.
    ///
    /// Who calls: an emulator of the guest's CPUs. A guest that is a script issues its calls with
    /// [`GuestInsn::Uvc`](super::GuestInsn::Uvc). `None`: no configuration with a verified image has this handle.
    ///
    /// Checks, in this order: those of the instruction (privileged operation, specification); the header, and for a known
    /// command the rest of the block, is guest storage that the guest can store to (the host's interruptions as at any guest
    /// access, else addressing in the guest); those of the call.
    #[must_use]
    pub fn guest_uv_call(&self, conf_handle: u64, instruction: Uvc, address: GuestAddr) -> Option<GuestAnswer> {
        let conf = self.conf(conf_handle).ok()?;
        // Nobody ends the configuration as long as the call is at work.
        let _open = match conf.open_whole() {
            Ok(open) => open,
            Err(Refusal::Busy) => return Some(GuestAnswer::Done(Cc::Busy)),
            Err(_) => return None,
        };
        let verified = conf.life.lock().phase == Phase::Verified;
        verified.then(|| self.guest_execute_at(&conf, instruction, address))
    }

    /// As [`Machine::guest_uv_call`], for a configuration that is known to run.
    pub(super) fn guest_execute_at(&self, conf: &Arc<Conf>, instruction: Uvc, address: GuestAddr) -> GuestAnswer {
        if let Err(interruption) = instruction.check() {
            return GuestAnswer::Exception(interruption);
        }
        let view = GuestView::new(self, conf);
        let mut block = alloc::vec![0; size_of::<UvcbHeader>()];
        if let Err(error) = view.read(address, &mut block) {
            return unreachable(error);
        }
        let stated = UvcbHeader::ref_from_prefix(&block).map_or(0, |(header, _)| usize::from(header.len.get()));
        let mut whole = alloc::vec![0; stated.max(block.len())];
        // A block that is not all there matters only to a command that there is.
        let fault = view.read(address, &mut whole).err();
        if fault.is_none() {
            block = whole;
        }
        if let Err(error) = view.check(address, block.len() as u64) {
            return unreachable(error);
        }
        let answer = match (self.guest_answer(conf, &mut block), fault) {
            (GuestAnswer::Exception(interruption), Some(fault)) if interruption.code == PgmCode::PAGE_TRANSLATION => {
                return unreachable(fault);
            }
            (answer, _) => answer,
        };
        if matches!(answer, GuestAnswer::Done(Cc::Done | Cc::Error))
            && let Err(error) = view.write(address, &block)
        {
            return unreachable(error);
        }
        answer
    }

    /// Issues a guest's call on a block that is at hand.
    pub(super) fn guest_call(&self, conf: &Arc<Conf>, mut block: Vec<u8>) -> Called {
        match self.guest_answer(conf, &mut block) {
            GuestAnswer::Done(cc) => Called::Done(InsnResult::Data { cc: cc.into(), bytes: Zeroizing::new(block) }),
            GuestAnswer::Exception(interruption) => Called::Done(InsnResult::Exception(interruption.code)),
            GuestAnswer::Host(interruption) => Called::Interrupted(interruption),
            GuestAnswer::Intercept => Called::Intercept(block),
        }
    }

    fn guest_answer(&self, conf: &Arc<Conf>, block: &mut [u8]) -> GuestAnswer {
        let answer = match admit(block, self.generation, Role::Guest) {
            Err(Refusal::Interrupted(interruption)) => return GuestAnswer::Exception(interruption),
            Err(refusal) => Err(refusal),
            Ok(command) => self.guest_command(&GuestView::new(self, conf), command, block),
        };
        let command = UvcbHeader::ref_from_prefix(block).map_or(UvCommand(0), |(header, _)| header.command());
        tracing::trace!(%command, ?answer, "guest UVC");
        if answer == Err(Refusal::Intercept) {
            return GuestAnswer::Intercept;
        }
        finish(block, answer).map_or_else(GuestAnswer::Host, GuestAnswer::Done)
    }
}

/// How the instruction ends when its operand cannot be reached.
fn unreachable(error: ViewError) -> GuestAnswer {
    match error {
        ViewError::Host(interruption) => GuestAnswer::Host(interruption),
        ViewError::Outside => GuestAnswer::Exception(ProgramInterruption::new(PgmCode::ADDRESSING)),
        ViewError::Busy => GuestAnswer::Done(Cc::Busy),
    }
}
