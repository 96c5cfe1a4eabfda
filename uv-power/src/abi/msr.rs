//! The machine state register and the privilege it gives (power-pef §2.1, 2.2).
//!
//! Who uses it: all parties.

use bitflags::bitflags;

/// The value of PPC bit `bit`: bit 0 is the most significant of 64.
const fn ppc(bit: u32) -> u64 {
    1 << (63 - bit)
}

bitflags! {
    /// Bits of the machine state register. Unknown bits survive.
    #[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
    pub struct Msr: u64 {
        /// 64-bit mode.
        const SF = ppc(0);
        /// Hypervisor state.
        const HV = ppc(3);
        /// A transaction is active.
        const TS_T = ppc(29);
        /// A transaction is suspended.
        const TS_S = ppc(30);
        /// Transactional memory can be used.
        const TM = ppc(31);
        /// Vector unit can be used.
        const VEC = ppc(38);
        /// Vector-scalar unit can be used.
        const VSX = ppc(40);
        /// Secure state.
        const S = ppc(41);
        /// External interrupts are taken.
        const EE = ppc(48);
        /// Problem (user) state.
        const PR = ppc(49);
        /// Floating point unit can be used.
        const FP = ppc(50);
        /// Machine checks are taken.
        const ME = ppc(51);
        /// Instruction addresses are translated.
        const IR = ppc(58);
        /// Data addresses are translated.
        const DR = ppc(59);
        /// An interrupt can be recovered from.
        const RI = ppc(62);
        /// Little endian.
        const LE = ppc(63);
        const _ = !0;
    }
}

/// Bits of SRR1 that tell the level of an `sc` (PPC bits 42:43).
pub const SC_LEVEL_MASK: u64 = 0x30_0000;

/// SRR1 level 1: a hypercall.
pub const SC_LEVEL_1: u64 = 1 << 20;

/// Interrupt status bits of SRR1, which the hypervisor may give when it injects an interrupt (power-pef §8.6).
pub const INTERRUPT_STATUS: u64 = 0x783f_0000;

/// SRR1 status of a program interrupt: transactional memory used the wrong way ("TM bad thing").
pub const STATUS_TM_BAD_THING: u64 = 0x0020_0000;

/// SRR1 status of a program interrupt: illegal instruction.
pub const STATUS_ILLEGAL: u64 = 0x0008_0000;

/// SRR1 status of a program interrupt: privileged instruction in problem state.
pub const STATUS_PRIVILEGED: u64 = 0x0004_0000;

/// HSRR1 status of a hypervisor instruction storage interrupt: no translation.
pub const STATUS_NO_TRANSLATION: u64 = 0x4000_0000;

impl Msr {
    /// The register as a number.
    #[must_use]
    pub const fn from_register(register: u64) -> Self {
        Self::from_bits_retain(register)
    }

    /// What the bits allow.
    #[must_use]
    pub const fn privilege(self) -> Privilege {
        match (self.contains(Self::S), self.contains(Self::HV), self.contains(Self::PR)) {
            (true, false, true) => Privilege::SecureProblem,
            (true, false, false) => Privilege::SecureSupervisor,
            (true, true, false) => Privilege::Ultravisor,
            (true, true, true) => Privilege::Reserved,
            (false, false, true) => Privilege::Problem,
            (false, false, false) => Privilege::Supervisor,
            (false, true, false) => Privilege::Hypervisor,
            (false, true, true) => Privilege::HostProblem,
        }
    }

    /// Whether a transaction is active or suspended.
    #[must_use]
    pub const fn in_transaction(self) -> bool {
        self.intersects(Self::TS_T.union(Self::TS_S))
    }
}

/// Privilege by (S, HV, PR).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Privilege {
    /// User code of a secure VM.
    SecureProblem,
    /// Kernel of a secure VM.
    SecureSupervisor,
    /// The ultravisor.
    Ultravisor,
    /// S, HV and PR: no mode.
    Reserved,
    /// User code of a normal VM.
    Problem,
    /// Kernel of a normal VM.
    Supervisor,
    /// The hypervisor.
    Hypervisor,
    /// User code of the host, for example QEMU.
    HostProblem,
}

impl Privilege {
    /// All eight modes.
    pub const ALL: [Self; 8] = [
        Self::SecureProblem,
        Self::SecureSupervisor,
        Self::Ultravisor,
        Self::Reserved,
        Self::Problem,
        Self::Supervisor,
        Self::Hypervisor,
        Self::HostProblem,
    ];

    /// The MSR bits (S, HV, PR) of the mode.
    #[must_use]
    pub const fn msr(self) -> Msr {
        match self {
            Self::SecureProblem => Msr::S.union(Msr::PR),
            Self::SecureSupervisor => Msr::S,
            Self::Ultravisor => Msr::S.union(Msr::HV),
            Self::Reserved => Msr::S.union(Msr::HV).union(Msr::PR),
            Self::Problem => Msr::PR,
            Self::Supervisor => Msr::empty(),
            Self::Hypervisor => Msr::HV,
            Self::HostProblem => Msr::HV.union(Msr::PR),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bit_values() {
        assert_eq!(Msr::S.bits(), 1 << 22);
        assert_eq!(Msr::HV.bits(), 1 << 60);
        assert_eq!(Msr::PR.bits(), 1 << 14);
        assert_eq!(Msr::TS_T.bits(), 1 << 34);
        assert_eq!(Msr::EE.bits(), 1 << 15);
        assert_eq!(Msr::RI.bits(), 2);
    }

    #[test]
    fn privilege_is_the_three_bits() {
        for mode in Privilege::ALL {
            assert_eq!((mode.msr() | Msr::SF | Msr::ME | Msr::LE).privilege(), mode);
        }
    }
}
