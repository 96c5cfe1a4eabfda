//! A `tracing` event for each call and entry.

use uv_core::MemSlots;

use crate::abi::numbers::UltracallNumber;
use crate::abi::regs::{Lpid, Regs};
use crate::abi::{GuestEntry, Ultracall, UvCode};

/// Tells every ultracall with its name and result, and every entry of a guest with the vector that ended it, at level `DEBUG`.
#[derive(Clone, Copy, Debug)]
pub struct Traced<S>(pub S);

impl<S: Ultracall> Ultracall for Traced<S> {
    fn ultracall(&self, regs: &mut Regs) {
        let (call, site) = (UltracallNumber(regs.gpr[3]), regs.nip);
        self.0.ultracall(regs);
        if call == UltracallNumber::UV_RETURN && regs.nip != site {
            tracing::debug!(%call, vector = regs.nip, vcpu = regs.vcpu, "sc 2");
        } else {
            tracing::debug!(%call, code = %UvCode::from_register(regs.gpr[3]), "sc 2");
        }
    }
}

impl<S: GuestEntry> GuestEntry for Traced<S> {
    fn enter(&self, regs: &mut Regs) {
        self.0.enter(regs);
        tracing::debug!(vector = regs.nip, lpid = %regs.lpidr, vcpu = regs.vcpu, "HRFID");
    }

    fn set_partition_memory(&self, lpid: Lpid, slots: Option<&MemSlots>) {
        self.0.set_partition_memory(lpid, slots);
    }
}
