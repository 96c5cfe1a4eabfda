//! Feature indications of the query.

use bitflags::bitflags;

/// The value of bit `number` of a 64-bit word, counted from the most significant bit; `number` below 64.
#[must_use]
pub const fn bit(number: u32) -> u64 {
    1 << (63 - number)
}

bitflags! {
    /// Feature indications (offset 0xa0 of the query; s390-ultravisor §1.6). Unknown bits survive.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Features: u64 {
        /// Bit 0, "misc": the TEID of a secure-storage access is reliable; importing a shared page of another
        /// configuration takes it over without an export before.
        const MISC = bit(0);
        /// Bit 1: adapter-interruption virtualization.
        const AIV = bit(1);
        /// Bit 4: AP instructions for protected guests.
        const AP = bit(4);
        /// Bit 5: AP interruptions for protected guests.
        const AP_INTERRUPTIONS = bit(5);
        /// Bit 6: 1 MiB host frames may back protected guests.
        const LARGE_FRAMES = bit(6);
        const _ = !0;
    }
}
