//! Subclass masks: which interruptions of a class a guest is enabled for, in its control registers 0, 6 and 14.
//!
//! | interruption | mask |
//! |---|---|
//! | malfunction alert 0x1200, emergency signal 0x1201, external call 0x1202 | control register 0, bits 48, 49, 50 |
//! | clock comparator 0x1004, CPU timer 0x1005 | control register 0, bits 52, 53 |
//! | service signal 0x2401, others of its subclass 0x2603 | control register 0, bit 54 |
//! | I/O of interruption subclass n (bits 2 to 4 of the word) | control register 6, bit 32 + n |
//! | machine check | control register 14, bits 35 to 39 |
//!
//! A hypervisor has to know these bits to know what it may inject, so the Ultravisor shows them in the state description
//! and nothing else of any control register (UNSURE: which bits a machine shows; KVM reads these three registers).

use crate::sim::guest::Interruption;

/// External subclasses: bits 48 to 50, 52 to 54, 57 and 58.
const EXTERNAL: u64 = 0xee60;
/// I/O subclasses: bits 32 to 39.
const IO: u64 = 0xff00_0000;
/// Machine-check subclasses: bits 35 to 39.
const MACHINE_CHECK: u64 = 0x1f00_0000;

/// The control registers as the host sees them.
pub(super) fn visible(cr: &[u64; 16]) -> [u64; 16] {
    let mut seen = [0; 16];
    for (number, mask) in [(0, EXTERNAL), (6, IO), (14, MACHINE_CHECK)] {
        seen[number] = cr[number] & mask;
    }
    seen
}

/// Whether the guest has the subclass of an external interruption open. A code without a subclass here counts as open.
pub(super) const fn is_open_for(cr: &[u64; 16], code: u16) -> bool {
    let bit = match code {
        0x1200 => 48,
        0x1201 => 49,
        0x1202 => 50,
        0x1004 => 52,
        0x1005 => 53,
        0x2401 | 0x2603 => 54,
        _ => return true,
    };
    cr[0] & 1 << (63 - bit) != 0
}

/// Whether the guest has the subclass of an interruption open.
pub(super) fn is_open(cr: &[u64; 16], interruption: &Interruption) -> bool {
    match interruption {
        Interruption::External { code, .. } => is_open_for(cr, *code),
        Interruption::Io { word, .. } => cr[6] & 1 << (31 - (word >> 27 & 7)) != 0,
        Interruption::MachineCheck { .. } | Interruption::Restart => true,
    }
}
