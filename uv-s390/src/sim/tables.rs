//! Address spaces as tables in host memory, walked as the hardware does (z/Architecture Principles of Operation, chapter 3;
//! the machine has EDAT 1 and 2).
//!
//! For a hypervisor that is a program of the emulated machine itself: its tables lie in memory, and an ASCE in a control
//! block or in control register 13 is all that the Ultravisor gets to know of them.

use alloc::sync::Arc;

use uv_core::{GuestAddr, HostAddr, NormalMemory};

use super::memory::Storage;
use crate::abi::dat::{FORMAT, INVALID, LENGTH, OFFSET, PAGE_INVALID, PAGE_ZERO, PROTECT, SHIFTS, TYPE};
use crate::abi::sie::{Asce, GuestMap, HostMapping, MappingSize};

/// The tables behind an ASCE.
pub(super) struct Tables {
    pub(super) storage: Arc<Storage>,
    pub(super) asce: Asce,
}

impl Tables {
    /// An entry of a table. Tables that the host cannot reach are not there (UNSURE: what a machine does with tables in secure or
    /// donated storage is not public).
    fn entry(&self, at: u64) -> Option<u64> {
        let mut word = [0; 8];
        self.storage.host_check(HostAddr(at), 8).ok()?;
        self.storage.bytes.read(HostAddr(at), &mut word).ok()?;
        Some(u64::from_be_bytes(word))
    }
}

impl GuestMap for Tables {
    fn translate(&self, addr: GuestAddr) -> Option<HostMapping> {
        let mut table = self.asce.0;
        let top = usize::try_from((table & TYPE) >> 2).ok()?;
        let above = SHIFTS[top] + 11;
        if above < 64 && addr.0 >> above != 0 {
            return None;
        }
        let (mut first, mut protected) = (0, false);
        for level in (0..=top).rev() {
            let index = addr.0 >> SHIFTS[level] & 0x7ff;
            let part = index >> 9;
            if part < first || part > table & LENGTH {
                return None;
            }
            let entry = self.entry((table & !0xfff).checked_add(index * 8)?)?;
            let level_type = u64::try_from(level).ok()? << 2;
            if entry & INVALID != 0 || entry & TYPE != level_type {
                return None;
            }
            protected |= entry & PROTECT != 0;
            let large = match level {
                0 => Some((MappingSize::Segment, 20)),
                1 => Some((MappingSize::Region, 31)),
                _ => None,
            };
            if let Some((size, shift)) = large.filter(|_| entry & FORMAT != 0) {
                let offset = addr.0 & ((1 << shift) - 1) & !0xfff;
                let frame = HostAddr(entry >> shift << shift | offset);
                return Some(HostMapping { frame, writable: !protected, size });
            }
            first = (entry & OFFSET) >> 6;
            table = entry;
        }
        let page = self.entry((table & !0x7ff) + (addr.0 >> 12 & 0xff) * 8)?;
        if page & (PAGE_INVALID | PAGE_ZERO) != 0 {
            return None;
        }
        let writable = !protected && page & PROTECT == 0;
        Some(HostMapping { frame: HostAddr(page & !0xfff), writable, size: MappingSize::Page })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uv_sim::HostMemory;

    const REGION: u64 = 0x1_0000;
    const SEGMENT: u64 = 0x2_0000;
    const PAGES: u64 = 0x3_0800;

    /// Region-third, segment and page table with one way through; `words` are changes.
    fn tables(asce: u64, words: &[(u64, u64)]) -> Tables {
        let storage = Arc::new(Storage::new(0x10_0000, Arc::new(HostMemory::new(0x10_0000))));
        let put = |at, word: u64| storage.bytes.write(HostAddr(at), &word.to_be_bytes()).unwrap();
        (0..2048).for_each(|index| put(REGION + index * 8, INVALID | 4));
        (0..2048).for_each(|index| put(SEGMENT + index * 8, INVALID));
        (0..256).for_each(|index| put(PAGES + index * 8, PAGE_INVALID));
        put(REGION + 8, SEGMENT | 4 | LENGTH);
        put(SEGMENT + 3 * 8, PAGES);
        put(PAGES + 5 * 8, 0x7_7000);
        words.iter().for_each(|(at, word)| put(*at, *word));
        Tables { storage, asce: Asce(asce) }
    }

    const ADDR: GuestAddr = GuestAddr((1 << 31) + (3 << 20) + 0x5123);
    const ASCE: u64 = REGION | 4 | LENGTH;

    fn page(writable: bool) -> Option<HostMapping> {
        Some(HostMapping { frame: HostAddr(0x7_7000), writable, size: MappingSize::Page })
    }

    #[test]
    fn a_page_is_found_by_its_indexes() {
        let found = |words: &[(u64, u64)]| tables(ASCE, words).translate(ADDR);
        assert_eq!(found(&[]), page(true));
        assert_eq!(tables(ASCE, &[]).translate(GuestAddr(ADDR.0 + 0x1000)), None);
        assert_eq!(tables(ASCE, &[]).translate(GuestAddr(ADDR.0 + (1 << 42))), None, "beyond the table's reach");
        for (at, entry) in [(REGION + 8, SEGMENT | 4 | LENGTH), (SEGMENT + 24, PAGES), (PAGES + 40, 0x7_7000)] {
            assert_eq!(found(&[(at, entry | PROTECT)]), page(false), "{at:#x}");
        }
        for (at, entry) in [
            (REGION + 8, SEGMENT | 4 | LENGTH | INVALID),
            (REGION + 8, SEGMENT | LENGTH),
            (REGION + 8, SEGMENT | 4 | LENGTH | 0x40),
            (SEGMENT + 24, PAGES | 4),
            (SEGMENT + 24, 0x10_0000),
            (PAGES + 40, 0x7_7000 | PAGE_ZERO),
        ] {
            assert_eq!(found(&[(at, entry)]), None, "{at:#x} {entry:#x}");
        }
    }

    #[test]
    fn a_table_ends_where_its_length_says() {
        let short = |words: &[(u64, u64)], addr| tables(REGION | 4, words).translate(GuestAddr(addr));
        assert_eq!(short(&[], ADDR.0), page(true));
        assert_eq!(short(&[(REGION + 0x200 * 8, SEGMENT | 4 | LENGTH)], ADDR.0 + (0x1ff << 31)), None);
        assert_eq!(short(&[(REGION + 8, SEGMENT | 4)], ADDR.0 + (0x200 << 20)), None);
    }

    #[test]
    fn large_frames() {
        let found = |words: &[(u64, u64)]| tables(ASCE, words).translate(ADDR);
        let large = |frame, writable, size| Some(HostMapping { frame: HostAddr(frame), writable, size });
        assert_eq!(found(&[(SEGMENT + 24, 0x1230_0000 | FORMAT)]), large(0x1230_5000, true, MappingSize::Segment));
        let region = (3 << 31) | FORMAT | PROTECT | 4;
        assert_eq!(found(&[(REGION + 8, region)]), large((3 << 31) + 0x30_5000, false, MappingSize::Region));
    }

    #[test]
    fn tables_that_were_given_away_are_not_there() {
        let tables = tables(ASCE, &[]);
        let donated = tables.storage.donate(SEGMENT, 0x1000, crate::sim::frames::ConfId(1)).unwrap();
        assert_eq!(tables.translate(ADDR), None);
        tables.storage.cancel(&donated);
        assert_eq!(tables.translate(ADDR), page(true));
    }
}
