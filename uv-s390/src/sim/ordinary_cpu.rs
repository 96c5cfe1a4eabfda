//! An ordinary guest's CPU, as the machine keeps it.

use core::sync::atomic::AtomicBool;

use spin::Mutex;
use uv_sim::guest::GuestCpu;

use super::guest::{GuestInsn, InsnResult};

/// Length of what counts as one instruction.
const INSTRUCTION: u64 = 4;

/// What the machine remembers of an ordinary CPU between two entries: its place in its program.
pub(crate) struct OrdinaryCpu {
    /// Whether the CPU runs on a host CPU right now.
    pub(crate) running: AtomicBool,
    pub(crate) place: Mutex<Place>,
}

#[derive(Default)]
pub(crate) struct Place {
    /// PSW address that was stored last; `None` before the first entry.
    pub(crate) stored: Option<u64>,
    /// PSW address that the program began at.
    pub(crate) start: u64,
    pub(crate) guest: Option<GuestCpu<GuestInsn, InsnResult>>,
    /// The instruction that left the guest and is not completed yet.
    pub(crate) pending: Option<GuestInsn>,
}

impl Place {
    /// Where the PSW points now: behind an instruction that is pending.
    pub(crate) fn address(&self) -> u64 {
        let done = self.guest.as_ref().map_or(0, GuestCpu::done) + u64::from(self.pending.is_some());
        self.start.wrapping_add(done.wrapping_mul(INSTRUCTION))
    }
}

impl OrdinaryCpu {
    pub(crate) fn new() -> Self {
        Self { running: AtomicBool::new(false), place: Mutex::new(Place::default()) }
    }
}
