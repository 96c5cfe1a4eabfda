//! Which special purpose registers belong to the ultravisor, and what the hardware does with anybody else's `mtspr` and
//! `mfspr` (power-pef §2.3).
//!
//! | register | hypervisor reads | hypervisor writes |
//! |---|---|---|
//! | DAWR, DAWRX, CIABR, SMFCTRL.D = 1 | 0xe40 | 0xe40 |
//! | DAWR, DAWRX, CIABR, SMFCTRL.D = 0 | direct | direct |
//! | PTCR, LDBAR, IMC | direct | 0xe40 |
//! | SMFCTRL, USPRG0, USPRG1, URMOR, USRR0, USRR1 | 0xe40 (UNSURE: the interrupt) | 0xe40 (UNSURE: the interrupt) |
//!
//! Below the hypervisor every one of these accesses is a hypervisor emulation assistance interrupt; the ultravisor's own are direct.

use super::Spr;
use crate::abi::msr::Privilege;

/// SMFCTRL.E (PPC bit 0): the facility is on.
pub const SMFCTRL_E: u64 = 1 << 63;
/// SMFCTRL.D: debug registers belong to the ultravisor. UNSURE: no public source gives the position; PPC bit 1 is chosen. The
/// published firmware never sets it.
pub const SMFCTRL_D: u64 = 1 << 62;

/// What becomes of a direct access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SprAccess {
    /// It is done.
    Direct,
    /// Hypervisor emulation assistance interrupt, 0xe40: nothing was read or written. Use the ultracall where there is one.
    EmulationAssistance,
}

/// What the hardware does with `mfspr` (or `mtspr`, if `write`) of a register in this table; [`SprAccess::Direct`] for every
/// register that is not in it.
#[must_use]
pub const fn direct_access(spr: Spr, write: bool, privilege: Privilege, smfctrl: u64) -> SprAccess {
    let restricted = match spr {
        Spr::DAWR | Spr::DAWRX | Spr::CIABR => smfctrl & SMFCTRL_D != 0,
        Spr::PTCR | Spr::LDBAR | Spr::IMC => write,
        Spr::SMFCTRL | Spr::USPRG0 | Spr::USPRG1 | Spr::URMOR | Spr::USRR0 | Spr::USRR1 => true,
        _ => return SprAccess::Direct,
    };
    match privilege {
        Privilege::Ultravisor => SprAccess::Direct,
        Privilege::Hypervisor if !restricted => SprAccess::Direct,
        _ => SprAccess::EmulationAssistance,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: [Spr; 12] = [
        Spr::DAWR,
        Spr::DAWRX,
        Spr::CIABR,
        Spr::PTCR,
        Spr::LDBAR,
        Spr::IMC,
        Spr::SMFCTRL,
        Spr::USPRG0,
        Spr::USPRG1,
        Spr::URMOR,
        Spr::USRR0,
        Spr::USRR1,
    ];

    #[test]
    fn the_table() {
        // For each register: read and write with D off, read and write with D on.
        for (index, spr) in OURS.into_iter().enumerate() {
            let expected = match index {
                0..3 => [true, true, false, false],
                3..6 => [true, false, true, false],
                _ => [false; 4],
            };
            let cases = [(false, 0), (true, 0), (false, SMFCTRL_D), (true, SMFCTRL_D)];
            for ((write, d), direct) in cases.into_iter().zip(expected) {
                let access = |privilege| direct_access(spr, write, privilege, SMFCTRL_E | d) == SprAccess::Direct;
                assert_eq!(access(Privilege::Hypervisor), direct, "{spr:?} write {write} D {d:#x}");
                assert!(access(Privilege::Ultravisor) && !access(Privilege::SecureSupervisor));
                assert!(!access(Privilege::Supervisor) && !access(Privilege::Problem));
            }
        }
        assert_eq!(direct_access(Spr::DAR, true, Privilege::Supervisor, SMFCTRL_D), SprAccess::Direct);
    }
}
