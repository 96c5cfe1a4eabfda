//! The secure instruction data area (SIDA): pages of host memory through which instruction operands pass.

use uv_core::HostAddr;

/// SIDA designation: page address, and number of pages less one in the low 8 bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SidaDesignation(pub u64);

impl SidaDesignation {
    /// A designation for `pages` pages (1 to 256) at `origin`; `None` for another number or an unaligned address.
    #[must_use]
    pub fn new(origin: HostAddr, pages: u64) -> Option<Self> {
        ((1..=256).contains(&pages) && origin.0 & 0xfff == 0).then(|| Self(origin.0 | (pages - 1)))
    }

    /// Host absolute address of the first page.
    #[must_use]
    pub const fn origin(self) -> HostAddr {
        HostAddr(self.0 & !0xfff)
    }

    /// Size in bytes.
    #[must_use]
    pub const fn size(self) -> u64 {
        ((self.0 & 0xff) + 1) << 12
    }
}

impl core::fmt::Debug for SidaDesignation {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "SidaDesignation({}, {} bytes)", self.origin(), self.size())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_counted_less_one() {
        let one = SidaDesignation::new(HostAddr(0x5000), 1).unwrap();
        assert_eq!((one.0, one.origin(), one.size()), (0x5000, HostAddr(0x5000), 0x1000));
        assert_eq!(SidaDesignation::new(HostAddr(0x5000), 256).unwrap().size(), 0x10_0000);
        assert_eq!(SidaDesignation::new(HostAddr(0x5000), 257), None);
        assert_eq!(SidaDesignation::new(HostAddr(0x5001), 1), None);
    }
}
