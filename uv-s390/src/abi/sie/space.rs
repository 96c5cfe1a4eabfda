//! The guest's address translation.

use alloc::sync::Arc;

use uv_core::{GuestAddr, HostAddr};

/// Address-space-control element, as in control register 1.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Asce(pub u64);

impl Asce {
    /// Private-space control (bit 55); a protected guest's ASCE must have it.
    pub const PRIVATE: u64 = 0x100;
    /// Real-space control (bit 58); a protected guest's ASCE must not have it.
    pub const REAL_SPACE: u64 = 0x20;
    /// Designation type (bits 60–61).
    pub const TYPE: u64 = 0x0c;
    /// Table length (bits 62–63).
    pub const LENGTH: u64 = 0x03;

    /// The table origin, bits 0–51.
    #[must_use]
    pub const fn origin(self) -> u64 {
        self.0 & !0xfff
    }

    /// Whether the designated table is a segment table: an address space of at most 2 GiB.
    #[must_use]
    pub const fn is_segment_type(self) -> bool {
        self.0 & Self::TYPE == 0
    }

    /// Whether the private bit is on and the reserved bit 58 is off.
    #[must_use]
    pub const fn is_valid_for_guest(self) -> bool {
        self.0 & Self::PRIVATE != 0 && self.0 & Self::REAL_SPACE == 0
    }
}

impl core::fmt::Debug for Asce {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Asce({:#x})", self.0)
    }
}

/// How large the table entry is that maps a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MappingSize {
    /// A page table entry: 4 KiB.
    Page,
    /// A segment table entry: 1 MiB.
    Segment,
    /// A region-third table entry: 2 GiB.
    Region,
}

/// Where a guest page lies in host memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HostMapping {
    /// Host absolute address of the 4 KiB frame that holds the guest page.
    pub frame: HostAddr,
    /// Whether the guest may store.
    pub writable: bool,
    /// Which kind of table entry maps it.
    pub size: MappingSize,
}

/// A guest's page tables, kept by the hypervisor.
///
/// Asked from every thread, at every access; the answer is not remembered.
pub trait GuestMap: Send + Sync {
    /// Where the 4 KiB page that holds `addr` lies; `None` when it is not mapped. `addr` is the address as seen through the
    /// ASCE (MSO + guest absolute).
    fn translate(&self, addr: GuestAddr) -> Option<HostMapping>;
}

/// The address spaces of a machine, by ASCE.
pub trait AddressSpaces: Send + Sync {
    /// Puts `map` behind `asce`; a map that was there before is replaced.
    fn attach(&self, asce: u64, map: Arc<dyn GuestMap>);

    /// Takes away what is behind `asce`: nothing is mapped there afterwards.
    fn detach(&self, asce: u64);
}

impl<T: AddressSpaces + ?Sized> AddressSpaces for Arc<T> {
    fn attach(&self, asce: u64, map: Arc<dyn GuestMap>) {
        (**self).attach(asce, map);
    }

    fn detach(&self, asce: u64) {
        (**self).detach(asce);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asce_for_a_guest() {
        assert!(Asce(0x1000 | Asce::PRIVATE).is_valid_for_guest());
        assert!(!Asce(0x1000).is_valid_for_guest());
        assert!(!Asce(0x1000 | Asce::PRIVATE | Asce::REAL_SPACE).is_valid_for_guest());
        assert!(Asce(0x1103).is_segment_type() && !Asce(0x1107).is_segment_type());
        assert_eq!(Asce(0x12_3107).origin(), 0x12_3000);
    }
}
