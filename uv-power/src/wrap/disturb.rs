//! Answers that a machine gives on a bad day.

use alloc::vec::Vec;

use uv_core::MemSlots;
use uv_sim::wrap::{Drawn, Draws};

use crate::abi::numbers::UltracallNumber;
use crate::abi::regs::{Lpid, Regs};
use crate::abi::{GuestEntry, Profile, Ultracall, UvCode};
use crate::sim::vectors::HYPERVISOR_DECREMENTER;

/// An error that comes at a certain call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedError {
    /// The ultracall; `UV_RETURN` too.
    pub call: UltracallNumber,
    /// Which call of this number, 0 for the first.
    pub nth: u32,
    /// The result.
    pub code: UvCode,
}

/// When calls and entries are disturbed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// The same seed and the same calls give the same answers.
    pub seed: u64,
    /// How many of 256 ultracalls other than `UV_RETURN` are answered busy.
    pub busy: u8,
    /// How an ultravisor says busy: `U_BUSY` in the documents, `U_RETRY` in the published firmware (power-pef §1.1).
    pub profile: Profile,
    /// How many of 256 entries by HRFID end at once with the hypervisor's decrementer (0x980).
    pub interrupts: u8,
    /// Errors.
    pub errors: Vec<PlannedError>,
}

/// Disturbs calls and entries. A disturbed one does not reach the machine, so nothing is done: registers other than the result, or
/// the vector, are unchanged. At most [`Draws::LONGEST_RUN`] in a row are answered busy or interrupted.
#[derive(Debug)]
pub struct Disturbed<S> {
    inner: S,
    schedule: Schedule,
    draws: Draws<u64>,
}

impl<S> Disturbed<S> {
    /// Disturbs what goes to `inner`.
    #[must_use]
    pub fn new(inner: S, schedule: Schedule) -> Self {
        let draws = Draws::new(schedule.seed);
        Self { inner, schedule, draws }
    }

    fn refusal(&self, call: UltracallNumber) -> Option<UvCode> {
        let chance = if call == UltracallNumber::UV_RETURN { 0 } else { self.schedule.busy };
        match (self.draws.next(call.0, &[chance]), self.schedule.profile) {
            (Drawn::Struck(_), Profile::Documented) => Some(UvCode::U_BUSY),
            (Drawn::Struck(_), Profile::Firmware) => Some(UvCode::U_RETRY),
            (Drawn::Passes(nth), _) => {
                let planned = self.schedule.errors.iter().find(|error| (error.call, error.nth) == (call, nth));
                planned.map(|error| error.code)
            }
        }
    }
}

impl<S: Ultracall> Ultracall for Disturbed<S> {
    fn ultracall(&self, regs: &mut Regs) {
        match self.refusal(UltracallNumber(regs.gpr[3])) {
            Some(code) => regs.gpr[3] = code.to_register(),
            None => self.inner.ultracall(regs),
        }
    }
}

impl<S: GuestEntry> GuestEntry for Disturbed<S> {
    fn enter(&self, regs: &mut Regs) {
        // No ultracall has the number 0.
        match self.draws.next(0, &[self.schedule.interrupts]) {
            Drawn::Struck(_) => regs.nip = HYPERVISOR_DECREMENTER,
            Drawn::Passes(_) => self.inner.enter(regs),
        }
    }

    fn set_partition_memory(&self, lpid: Lpid, slots: Option<&MemSlots>) {
        self.inner.set_partition_memory(lpid, slots);
    }
}
