//! Keeping calls and entries, and answering them again.

use alloc::boxed::Box;

use uv_core::MemSlots;

use crate::abi::numbers::{HvCall, UltracallNumber};
use crate::abi::regs::{Lpid, Regs};
use crate::abi::{GuestEntry, Ultracall, UvCode};
use crate::sim::vectors::{PROGRAM, SYSTEM_CALL};

/// What the hypervisor executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// `sc 2`: an ultracall, `UV_RETURN` among them.
    Sc2,
    /// HRFID: the way into a guest that is not secure.
    Hrfid,
}

/// One call or entry: the registers as they were loaded, and as they were found afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedCall {
    /// How the hypervisor left its CPU.
    pub instruction: Instruction,
    /// The registers at that moment.
    pub before: Box<Regs>,
    /// The registers when the hypervisor goes on.
    pub after: Box<Regs>,
}

impl RecordedCall {
    /// Executes an instruction on `regs` and keeps both sides.
    pub(super) fn of(instruction: Instruction, regs: &mut Regs, execute: impl FnOnce(&mut Regs)) -> Self {
        let before = Box::new(regs.clone());
        execute(regs);
        Self { instruction, before, after: Box::new(regs.clone()) }
    }

    /// The number of the ultracall; `None` for HRFID.
    #[must_use]
    pub fn ultracall(&self) -> Option<UltracallNumber> {
        (self.instruction == Instruction::Sc2).then(|| UltracallNumber(self.before.gpr[3]))
    }

    /// R4 … R12 of the ultracall.
    #[must_use]
    pub fn args(&self) -> [u64; 9] {
        core::array::from_fn(|index| self.before.gpr[4 + index])
    }

    /// Whether a guest was entered: HRFID, or a `UV_RETURN` that was not refused.
    #[must_use]
    pub fn is_entry(&self) -> bool {
        match self.ultracall() {
            Some(UltracallNumber::UV_RETURN) => self.after.nip != self.before.nip,
            Some(_) => false,
            None => true,
        }
    }

    /// The result of an ultracall that came back to its caller: every one but an entry.
    #[must_use]
    pub fn code(&self) -> Option<UvCode> {
        (!self.is_entry()).then(|| UvCode::from_register(self.after.gpr[3]))
    }

    /// The hypercall that an entry ended with, the guest's or the ultravisor's; its arguments are in `after`.
    #[must_use]
    pub fn hypercall(&self) -> Option<HvCall> {
        (self.is_entry() && self.after.nip == SYSTEM_CALL).then(|| HvCall(self.after.gpr[3]))
    }
}

/// Passes calls and entries on and keeps them, in the order in which they ended.
pub type Recorder<S> = uv_sim::wrap::Recorder<S, RecordedCall>;

impl<S: Ultracall> Ultracall for Recorder<S> {
    fn ultracall(&self, regs: &mut Regs) {
        let call = RecordedCall::of(Instruction::Sc2, regs, |regs| self.inner().ultracall(regs));
        self.keep(call);
    }
}

impl<S: GuestEntry> GuestEntry for Recorder<S> {
    fn enter(&self, regs: &mut Regs) {
        let call = RecordedCall::of(Instruction::Hrfid, regs, |regs| self.inner().enter(regs));
        self.keep(call);
    }

    fn set_partition_memory(&self, lpid: Lpid, slots: Option<&MemSlots>) {
        self.inner().set_partition_memory(lpid, slots);
    }
}

/// Answers calls and entries from a recording, without a machine.
///
/// They must come in the recorded order with the recorded registers. Any other ultracall, and any behind the end, is answered
/// `U_FUNCTION`; any other entry comes back with a program interrupt (0x700); nothing is used up by either. Memory is not
/// recorded: what a machine wrote there (`UV_PAGE_OUT`) is not written again.
pub type Replayer = uv_sim::wrap::Replayer<RecordedCall>;

/// Answers from the recording; `false` if this is not what was recorded next.
fn answer(recorded: &Replayer, instruction: Instruction, regs: &mut Regs) -> bool {
    let next = recorded.next_if(|call| call.instruction == instruction && *call.before == *regs);
    next.map(|call| *regs = *call.after).is_some()
}

impl Ultracall for Replayer {
    fn ultracall(&self, regs: &mut Regs) {
        if !answer(self, Instruction::Sc2, regs) {
            regs.gpr[3] = UvCode::U_FUNCTION.to_register();
        }
    }
}

impl GuestEntry for Replayer {
    fn enter(&self, regs: &mut Regs) {
        if !answer(self, Instruction::Hrfid, regs) {
            (regs.srr0, regs.srr1) = (regs.nip, regs.msr);
            regs.nip = PROGRAM;
        }
    }

    fn set_partition_memory(&self, _: Lpid, _: Option<&MemSlots>) {}
}
