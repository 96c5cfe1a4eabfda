//! A hypervisor's own `mtspr` and `mfspr` of the registers that the ultravisor may claim (power-pef §2.3).
//!
//! Hardware, not a call: what is refused takes the interrupt 0xe40 in the hypervisor. The registers are the same that
//! `UV_RESTRICTED_SPR_WRITE` and `UV_RESTRICTED_SPR_READ` reach.

use core::sync::atomic::Ordering;

use super::machine::Machine;
use crate::abi::numbers::SECURE_ADDRESS;
use crate::abi::regs::{Regs, SMFCTRL_D, SMFCTRL_E, Spr, SprAccess, direct_access};

/// PTCR: the table has 2^16 bytes, coded as 16 - 12; it lies at the start of secure memory (power-pef §10.1).
const PTCR: u64 = SECURE_ADDRESS | 4;

impl Machine {
    /// Sets SMFCTRL.D, as an ultravisor that claims the debug registers does; the published firmware never does.
    pub fn claim_debug_registers(&self, claimed: bool) {
        self.inner().platform.debug_claimed.store(claimed, Ordering::Release);
    }

    fn smfctrl(&self) -> u64 {
        let claimed = self.inner().platform.debug_claimed.load(Ordering::Acquire);
        SMFCTRL_E | if claimed { SMFCTRL_D } else { 0 }
    }

    /// `mtspr` in the state of `regs`. `false` when it took the interrupt 0xe40 instead: `regs` are those of the interrupt.
    pub fn mtspr(&self, regs: &mut Regs, spr: Spr, value: u64) -> bool {
        self.access(regs, spr, true) && {
            self.inner().platform.set_spr(regs.thread, spr, value);
            true
        }
    }

    /// `mfspr` in the state of `regs`. `None` when it took the interrupt 0xe40 instead: `regs` are those of the interrupt.
    pub fn mfspr(&self, regs: &mut Regs, spr: Spr) -> Option<u64> {
        self.access(regs, spr, false).then(|| match spr {
            Spr::PTCR => PTCR,
            _ => self.inner().platform.spr(regs.thread, spr),
        })
    }

    fn access(&self, regs: &mut Regs, spr: Spr, write: bool) -> bool {
        let access = direct_access(spr, write, regs.msr().privilege(), self.smfctrl());
        if access == SprAccess::EmulationAssistance {
            (regs.hsrr0, regs.hsrr1) = (regs.nip, regs.msr);
            (regs.nip, regs.msr) = (0xe40, Regs::hypervisor().msr);
        }
        access == SprAccess::Direct
    }
}
