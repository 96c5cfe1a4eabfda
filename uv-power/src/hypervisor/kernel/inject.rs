//! Interrupts that the hypervisor gives to a guest (power-pef §8.6).
//!
//! The interrupted address and machine state go to SRR0 and SRR1, with the status bits of the cause; the guest goes on at the
//! vector. A secure guest is not the hypervisor's to change: what `UV_RETURN` finds in HSRR0 (the vector), HSRR1 (byte order)
//! and R2 (SRR1 with the status) tells the ultravisor to do the same with the guest's real address and state.

use super::KvmVcpu;
use super::vcpu::uses_hsrr;
use crate::abi::msr::{INTERRUPT_STATUS, Msr};
use crate::abi::regs::Spr;

/// LPCR.AIL = 3 (PPC bits 39:40): interrupts with translation on are taken with it on, at another address.
const AIL_3: u64 = 3 << 23;
/// Where vectors lie with AIL = 3.
const AIL_BASE: u64 = 0xc000_0000_0000_4000;

/// Why the hypervisor was entered, beside the vector. Which one counts depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterruptCause {
    /// Status bits of SRR1 or HSRR1: 0x100 (why a thread woke), 0x200, 0xe20.
    pub status: u64,
    /// HFSCR bits 0:7, the facility that is not available: 0xf80.
    pub facility: u8,
    /// HEIR, the instruction to be emulated: 0xe40.
    pub instruction: u64,
}

impl KvmVcpu {
    /// Gives the guest an interrupt: it goes on at `vector` when it is next entered. `status` are the bits of the cause in SRR1,
    /// others are dropped. Whether the guest takes one now is for the caller to look at ([`KvmVcpu::takes_external`]); a
    /// hypercall that waits for its result is to be answered first.
    ///
    /// The byte order stays as it was. With LPCR.AIL = 3 a guest that runs with translation is interrupted with it, but for a
    /// system reset and a machine check; an ultravisor knows no such vector and injects nothing.
    pub fn inject(&mut self, vector: u64, status: u64) {
        let (address, state) = self.resume;
        let interrupted = Msr::from_register(state);
        let mut taken = Msr::SF | Msr::ME | (interrupted & Msr::LE);
        // An active transaction is suspended.
        if interrupted.contains(Msr::TS_T) {
            taken |= Msr::TS_S;
        } else {
            taken |= interrupted & Msr::TS_S;
        }
        let mut at = vector;
        let translated = interrupted.contains(Msr::IR | Msr::DR);
        if translated && self.regs.lpcr & AIL_3 == AIL_3 && !matches!(vector, 0x100 | 0x200) {
            taken |= Msr::IR | Msr::DR;
            at = vector.wrapping_add(AIL_BASE);
        }
        self.regs.srr0 = address;
        self.regs.srr1 = state & !INTERRUPT_STATUS | status & INTERRUPT_STATUS;
        self.resume = (at, taken.bits());
    }

    /// Whether the guest takes an external or decrementer interrupt now (EE of its machine state).
    #[must_use]
    pub const fn takes_external(&self) -> bool {
        Msr::from_register(self.resume.1).contains(Msr::EE)
    }

    /// The cause of the interrupt by which the hypervisor was last entered.
    #[must_use]
    pub fn cause(&self) -> InterruptCause {
        let saved = if uses_hsrr(self.regs.nip, self.regs.lpcr) { self.regs.hsrr1 } else { self.regs.srr1 };
        let [facility, ..] = self.regs.hfscr.to_be_bytes();
        let instruction = self.regs.spr.get(Spr::HEIR).unwrap_or(0);
        InterruptCause { status: saved & INTERRUPT_STATUS, facility, instruction }
    }
}
