//! What the kernel does itself when a guest signals: the emergency signal, and the notification of a service call.
//!
//! | instruction | protected CPU | ordinary CPU |
//! |---|---|---|
//! | SIGP emergency signal | 108: pending at the target; the guest has its condition code from the Ultravisor | 0x04: pending at the target, cc 0 or 3 |
//! | SERVC | 108: the service signal is pending | user space's |
//!
//! External calls of protected CPUs are the machine's, and all other orders are user space's here (UNSURE: with a VMM that asks
//! for them; KVM itself also serves sense, sense running and the conditional emergency signal, and external calls of ordinary CPUs).

use super::Irq;
use super::deliver::SERVC;
use crate::abi::sie::{InterceptionCode, StateDescription};
use crate::hypervisor::kernel::cpu::Cpu;
use crate::hypervisor::kernel::{Guest, HostError};

/// First byte of the IPA of SIGP.
const SIGP: u16 = 0xae;
/// Order code of an emergency signal.
const EMERGENCY_SIGNAL: u64 = 0x03;
/// Bits 18 and 19 of a PSW mask: the condition code.
const CC_SHIFT: u32 = 63 - 19;

/// Target of an emergency signal; `None` for another instruction.
fn target(state: &StateDescription, gr: impl Fn(u16) -> u64) -> Option<u16> {
    let (ipa, ipb) = (state.ipa.get(), state.ipb.get());
    let base = match u16::try_from(ipb >> 28) {
        Ok(0) | Err(_) => 0,
        Ok(base) => gr(base),
    };
    let order = base.wrapping_add(u64::from(ipb >> 16 & 0xfff)) & 0xff;
    // A CPU address is the low 16 bits of its register.
    u16::try_from(gr(ipa & 0xf) & 0xffff).ok().filter(|_| ipa >> 8 == SIGP && order == EMERGENCY_SIGNAL)
}

impl Guest {
    /// Whether a notification (108) of a protected CPU was the kernel's.
    pub(in crate::hypervisor::kernel) fn notified(
        &self,
        cpu: &Cpu,
        state: &StateDescription,
    ) -> Result<bool, HostError> {
        if state.ipa.get() == SERVC {
            return Ok(true);
        }
        let Some(target) = target(state, |number| state.gr(number.into())) else { return Ok(false) };
        self.emergency(cpu, target).map(|_| true)
    }

    /// Whether an instruction of an ordinary CPU was the kernel's.
    pub(in crate::hypervisor::kernel) fn signalled(
        &self,
        cpu: &Cpu,
        state: &StateDescription,
    ) -> Result<bool, HostError> {
        let grs = cpu.registers.lock().grs;
        let gr = |number: u16| grs.get(usize::from(number)).copied().unwrap_or(0);
        let Some(target) = target(state, gr).filter(|_| state.interception() == InterceptionCode::INSTRUCTION) else {
            return Ok(false);
        };
        let cc = if self.emergency(cpu, target)? { 0 } else { 3 };
        let mask = state.psw.mask.get() & !(3 << CC_SHIFT) | cc << CC_SHIFT;
        self.store(cpu, core::mem::offset_of!(StateDescription, psw), &u64::to_be_bytes(mask))?;
        Ok(true)
    }

    /// Whether there is such a target.
    fn emergency(&self, cpu: &Cpu, target: u16) -> Result<bool, HostError> {
        match self.inject(Some(target), Irq::Emergency { source: cpu.number }) {
            Ok(()) => Ok(true),
            Err(HostError::Cpu(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
