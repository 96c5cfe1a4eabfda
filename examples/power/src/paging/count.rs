//! Counts pages at the seam between hypervisor and ultravisor.

use std::sync::atomic::{AtomicU64, Ordering};

use uv_core::MemSlots;
use uv_power::abi::numbers::{HvCall, UvCall};
use uv_power::abi::regs::Lpid;
use uv_power::abi::{GuestEntry, Regs, Ultracall, UvCode};
use uv_power::sim::Machine;
use uv_power::sim::vectors::SYSTEM_CALL;

/// The seams of a machine, with counters.
pub(super) struct Counted {
    machine: Machine,
    pages_in: AtomicU64,
    pages_out: AtomicU64,
    asked: AtomicU64,
}

impl Counted {
    pub(super) fn new(machine: Machine) -> Self {
        Self { machine, pages_in: AtomicU64::new(0), pages_out: AtomicU64::new(0), asked: AtomicU64::new(0) }
    }

    /// Pages in and out so far.
    pub(super) fn pages(&self) -> (u64, u64) {
        (self.pages_in.load(Ordering::Relaxed), self.pages_out.load(Ordering::Relaxed))
    }

    /// Pages that the ultravisor asked to take out so far.
    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Ultracall for Counted {
    fn ultracall(&self, regs: &mut Regs) {
        let call = UvCall(regs.gpr[3]);
        self.machine.ultracall(regs);
        let counter = match call {
            UvCall::UV_PAGE_IN => &self.pages_in,
            UvCall::UV_PAGE_OUT => &self.pages_out,
            UvCall::UV_RETURN => {
                if (regs.nip, HvCall(regs.gpr[3])) == (SYSTEM_CALL, HvCall::H_SVM_PAGE_OUT) {
                    self.asked.fetch_add(1, Ordering::Relaxed);
                }
                return;
            }
            _ => return,
        };
        if UvCode::from_register(regs.gpr[3]) == UvCode::U_SUCCESS {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl GuestEntry for Counted {
    fn enter(&self, regs: &mut Regs) {
        self.machine.enter(regs);
    }

    fn set_partition_memory(&self, lpid: Lpid, slots: Option<&MemSlots>) {
        self.machine.set_partition_memory(lpid, slots);
    }
}
