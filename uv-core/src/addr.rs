//! Addresses and pages. Each kind of address is its own type, so that one cannot be passed for another.

use core::fmt;

/// A guest physical address in bytes (IBM Z: guest absolute address; POWER: gpa).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct GuestAddr(pub u64);

/// An address in bytes of the hypervisor's normal memory (IBM Z: host absolute address; POWER: real address).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct HostAddr(pub u64);

/// A guest frame number: guest physical address divided by the VM's page size.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Gfn(pub u64);

/// The one page size an ultravisor works in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PageSize {
    /// 4096 bytes (IBM Z).
    K4,
    /// 65536 bytes (POWER).
    K64,
}

impl PageSize {
    /// Base-2 logarithm of the size in bytes: 12 or 16.
    #[must_use]
    pub const fn shift(self) -> u32 {
        match self {
            Self::K4 => 12,
            Self::K64 => 16,
        }
    }

    /// Size in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        1 << self.shift()
    }

    /// Size in bytes, as the 64-bit number addresses are computed with.
    #[must_use]
    pub const fn size(self) -> u64 {
        1 << self.shift()
    }

    /// The number of the page that holds `addr`.
    #[must_use]
    pub const fn gfn(self, addr: GuestAddr) -> Gfn {
        Gfn(addr.0 >> self.shift())
    }

    /// The address of the first byte of page `gfn`; wraps for a number that no 64-bit address has.
    #[must_use]
    pub const fn addr(self, gfn: Gfn) -> GuestAddr {
        GuestAddr(gfn.0 << self.shift())
    }

    /// The offset of `addr` inside its page, in bytes.
    #[must_use]
    pub const fn offset(self, addr: u64) -> u64 {
        addr & (self.size() - 1)
    }

    /// Whether `addr` is the first byte of a page.
    #[must_use]
    pub const fn is_aligned(self, addr: u64) -> bool {
        self.offset(addr) == 0
    }

    /// How many pages `len` bytes need.
    #[must_use]
    pub const fn pages_for(self, len: u64) -> u64 {
        len.div_ceil(self.size())
    }
}

/// Consecutive guest pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PageRange {
    /// The first page.
    pub first: Gfn,
    /// How many pages; 0 is the empty range.
    pub count: u64,
}

impl PageRange {
    /// `count` pages from `first` on.
    #[must_use]
    pub const fn new(first: Gfn, count: u64) -> Self {
        Self { first, count }
    }

    /// The page numbers in order. A range that would pass the last 64-bit number ends with it.
    pub fn iter(self) -> impl Iterator<Item = Gfn> {
        (0..self.count).map_while(move |n| self.first.0.checked_add(n).map(Gfn))
    }

    /// Whether `gfn` is one of the pages.
    #[must_use]
    pub const fn contains(self, gfn: Gfn) -> bool {
        gfn.0 >= self.first.0 && gfn.0 - self.first.0 < self.count
    }
}

impl From<Gfn> for PageRange {
    fn from(gfn: Gfn) -> Self {
        Self::new(gfn, 1)
    }
}

impl Gfn {
    /// The page `n` further on; saturates.
    #[must_use]
    pub const fn add(self, n: u64) -> Self {
        Self(self.0.saturating_add(n))
    }
}

impl HostAddr {
    /// The address `n` bytes further on; `None` past the end of the address space.
    #[must_use]
    pub const fn checked_add(self, n: u64) -> Option<Self> {
        match self.0.checked_add(n) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }
}

impl GuestAddr {
    /// The address `n` bytes further on; `None` past the end of the address space.
    #[must_use]
    pub const fn checked_add(self, n: u64) -> Option<Self> {
        match self.0.checked_add(n) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }
}

macro_rules! shown_as_hex {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:#x})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }
    )*};
}
shown_as_hex!(GuestAddr, HostAddr, Gfn);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_arithmetic() {
        assert_eq!(PageSize::K4.gfn(GuestAddr(0x12fff)), Gfn(0x12));
        assert_eq!(PageSize::K64.addr(Gfn(3)), GuestAddr(0x30000));
        assert_eq!(PageSize::K64.offset(0x3_1234), 0x1234);
        assert!(PageSize::K4.is_aligned(0x5000) && !PageSize::K64.is_aligned(0x5000));
        assert_eq!(PageSize::K4.pages_for(0), 0);
        assert_eq!(PageSize::K4.pages_for(4097), 2);
    }

    #[test]
    fn a_range_knows_its_pages() {
        let range = PageRange::new(Gfn(5), 3);
        assert!(range.iter().eq([Gfn(5), Gfn(6), Gfn(7)]));
        assert!(range.contains(Gfn(7)) && !range.contains(Gfn(8)) && !range.contains(Gfn(4)));
    }

    #[test]
    fn a_range_ends_with_the_last_number() {
        let last = Gfn(u64::MAX);
        assert!(PageRange::from(last).iter().eq([last]));
        assert_eq!(PageRange::from(Gfn(5)), PageRange::new(Gfn(5), 1));
        assert!(PageRange::new(Gfn(u64::MAX - 1), 9).iter().eq([Gfn(u64::MAX - 1), last]));
        assert_eq!(PageRange::new(last, 0).iter().count(), 0);
        assert!(PageRange::from(last).contains(last));
    }
}
