//! Interrupt vectors (power-pef §8.1).
//!
//! Who uses it: tests that look at what a hypervisor is entered for.

/// System reset.
pub const SYSTEM_RESET: u64 = 0x100;
/// Machine check.
pub const MACHINE_CHECK: u64 = 0x200;
/// External interrupt.
pub const EXTERNAL: u64 = 0x500;
/// Program interrupt.
pub const PROGRAM: u64 = 0x700;
/// Hypervisor decrementer.
pub const HYPERVISOR_DECREMENTER: u64 = 0x980;
/// System call: `sc` of any level.
pub const SYSTEM_CALL: u64 = 0xc00;
/// Hypervisor data storage.
pub const DATA_STORAGE: u64 = 0xe00;
/// Hypervisor instruction storage.
pub const INSTRUCTION_STORAGE: u64 = 0xe20;
/// Hypervisor emulation assistance.
pub const EMULATION_ASSISTANCE: u64 = 0xe40;
/// Hypervisor maintenance.
pub const MAINTENANCE: u64 = 0xe60;
/// Directed hypervisor doorbell.
pub const DOORBELL: u64 = 0xe80;
/// Hypervisor virtualization.
pub const VIRTUALIZATION: u64 = 0xea0;
/// Hypervisor facility unavailable.
pub const FACILITY: u64 = 0xf80;

/// Facility number of transactional memory in HFSCR.
pub const TRANSACTIONS: u8 = 5;

/// LPCR.LPES (PPC bit 60): external interrupts use SRR0/1.
const LPES: u64 = 1 << 3;

/// Whether an interrupt saves its state in HSRR0/1.
#[must_use]
pub const fn is_hypervisors(vector: u64, lpcr: u64) -> bool {
    match vector {
        HYPERVISOR_DECREMENTER | FACILITY | 0x1500 => true,
        EXTERNAL => lpcr & LPES == 0,
        _ => vector >= DATA_STORAGE && vector <= VIRTUALIZATION,
    }
}

/// What the ultravisor does with an interrupt that arrives while a secure guest runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// The hypervisor gets it, with neutral registers.
    Reflect,
    /// The guest gets it at its own vector.
    ToGuest,
    /// The VM is killed.
    Kill,
    /// Logged, the guest goes on.
    Resume,
}

/// Who gets an interrupt. External interrupts: the documents say the hypervisor, the firmware hands them to the guest.
#[must_use]
pub const fn disposition(vector: u64, firmware: bool) -> Disposition {
    match vector {
        SYSTEM_RESET | MACHINE_CHECK | HYPERVISOR_DECREMENTER | MAINTENANCE | DOORBELL | VIRTUALIZATION | FACILITY => {
            Disposition::Reflect
        }
        EXTERNAL if firmware => Disposition::ToGuest,
        EXTERNAL => Disposition::Reflect,
        EMULATION_ASSISTANCE => Disposition::Kill,
        _ => Disposition::Resume,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hypervisor_interrupts() {
        for vector in [0xe00, 0xe20, 0xe60, 0xea0, 0x980, 0xf80, 0x1500] {
            assert!(is_hypervisors(vector, 0), "{vector:#x}");
        }
        assert!(is_hypervisors(0x500, 0) && !is_hypervisors(0x500, 8));
        assert!(!is_hypervisors(0xc00, 0) && !is_hypervisors(0x100, 0) && !is_hypervisors(0x200, 0));
    }

    #[test]
    fn who_gets_what() {
        assert_eq!(disposition(0x500, true), Disposition::ToGuest);
        assert_eq!(disposition(0x500, false), Disposition::Reflect);
        assert_eq!(disposition(0xe40, false), Disposition::Kill);
        assert_eq!(disposition(0x300, false), Disposition::Resume);
    }
}
