//! The kernel's page allocator.

use alloc::collections::BTreeMap;
use core::fmt;

use spin::Mutex;
use uv_core::HostAddr;

/// Size of a page in bytes.
const PAGE: u64 = 0x1000;

/// Pages that the kernel holds. Given back with [`HostPages::free`]; dropping the value without that leaks the pages,
/// which is what a kernel does with storage that the Ultravisor did not give back.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "pages that are not freed stay taken"]
pub struct Allocation {
    origin: HostAddr,
    bytes: u64,
}

impl Allocation {
    /// Host absolute address of the first byte.
    #[must_use]
    pub const fn origin(&self) -> HostAddr {
        self.origin
    }

    /// Size in bytes, a multiple of 4096.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Free host storage, by address. First fit, lowest address first; neighbours are joined when they come back.
pub struct HostPages {
    /// First byte → bytes.
    free: Mutex<BTreeMap<u64, u64>>,
}

impl fmt::Debug for HostPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostPages").field("free_bytes", &self.free_bytes()).finish_non_exhaustive()
    }
}

impl HostPages {
    /// An allocator over `ranges` (first byte, bytes), cut to whole pages. The ranges must not overlap each other nor the
    /// memory of guests, and not hold the lowcore (the first 8 KiB), which the Ultravisor never takes: it is left out.
    #[must_use]
    pub fn new(ranges: impl IntoIterator<Item = (HostAddr, u64)>) -> Self {
        let mut free = BTreeMap::new();
        for (start, bytes) in ranges {
            let end = start.0.saturating_add(bytes) & !(PAGE - 1);
            let start = start.0.max(2 * PAGE).checked_next_multiple_of(PAGE).unwrap_or(u64::MAX);
            if start < end {
                free.insert(start, end - start);
            }
        }
        Self { free: Mutex::new(free) }
    }

    /// Takes `bytes` (rounded up to whole pages, at least one) with the given alignment (a power of two, at least a page) at
    /// or above `from`. `None` when there is no such stretch.
    pub fn allocate(&self, bytes: u64, align: u64, from: HostAddr) -> Option<Allocation> {
        let bytes = bytes.max(1).checked_next_multiple_of(PAGE)?;
        let align = align.max(PAGE);
        let mut free = self.free.lock();
        let (start, len, origin) = free.iter().find_map(|(&start, &len)| {
            let origin = start.max(from.0).checked_next_multiple_of(align)?;
            (origin.checked_add(bytes)? <= start + len).then_some((start, len, origin))
        })?;
        free.remove(&start);
        if origin > start {
            free.insert(start, origin - start);
        }
        let (end, taken_end) = (start + len, origin + bytes);
        if end > taken_end {
            free.insert(taken_end, end - taken_end);
        }
        Some(Allocation { origin: HostAddr(origin), bytes })
    }

    /// Gives pages back.
    pub fn free(&self, allocation: Allocation) {
        let mut free = self.free.lock();
        let (mut start, mut end) = (allocation.origin.0, allocation.origin.0 + allocation.bytes);
        if let Some((&before, &len)) = free.range(..start).next_back()
            && before + len == start
        {
            free.remove(&before);
            start = before;
        }
        if let Some(len) = free.remove(&end) {
            end += len;
        }
        free.insert(start, end - start);
    }

    /// Free bytes.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        self.free.lock().values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_come_and_go() {
        let pages = HostPages::new([(HostAddr(0), 0x10_0000), (HostAddr(0x8000_0000), 0x30_0000)]);
        let all = pages.free_bytes();
        assert_eq!(all, 0x3f_e000, "without the lowcore");
        let one = pages.allocate(1, 0, HostAddr(0)).unwrap();
        assert_eq!((one.origin(), one.bytes()), (HostAddr(0x2000), 0x1000));
        let high = pages.allocate(0x10_0000, 0x10_0000, HostAddr(0x8000_0001)).unwrap();
        assert_eq!(high.origin(), HostAddr(0x8010_0000));
        let aligned = pages.allocate(0x4000, 0x4000, HostAddr(0)).unwrap();
        assert_eq!(aligned.origin(), HostAddr(0x4000));
        assert_eq!(pages.allocate(0x20_0000, 0, HostAddr(0)), None);
        assert_eq!(pages.allocate(u64::MAX, 0, HostAddr(0)), None);
        for back in [high, one, aligned] {
            pages.free(back);
        }
        assert_eq!(pages.free_bytes(), all);
        assert!(pages.allocate(0x30_0000, 0, HostAddr(0)).is_some(), "joined again");
    }
}
