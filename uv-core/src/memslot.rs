//! Memory slots: which normal memory the hypervisor puts behind which guest addresses.

use alloc::collections::BTreeMap;

use crate::{Gfn, GuestAddr, HostAddr, PageSize};

/// Number of a memory slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub u16);

/// A stretch of guest memory backed by a stretch of normal memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemSlot {
    /// First guest page.
    pub first: Gfn,
    /// Number of pages, not 0.
    pub pages: u64,
    /// Where the first page lies in normal memory.
    pub host: HostAddr,
}

/// Why a memory slot was refused. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// The slot has no pages.
    #[error("a memory slot needs at least one page")]
    Empty,
    /// Guest or host addresses would pass the end of the address space.
    #[error("the memory slot passes the end of the address space")]
    Wraps,
    /// The normal memory does not begin at a page boundary.
    #[error("the normal memory at {0} does not begin at a page boundary")]
    Unaligned(HostAddr),
    /// The guest pages belong to another slot already.
    #[error("the memory slot overlaps slot {}", .0.0)]
    Overlap(SlotId),
    /// The slot number is taken.
    #[error("memory slot {} exists", .0.0)]
    Exists(SlotId),
}

/// All memory slots of one VM: 32,764 of them (KVM's limit) are no burden, every call takes logarithmic time.
#[derive(Clone, Debug)]
pub struct MemSlots {
    page_size: PageSize,
    slots: BTreeMap<SlotId, MemSlot>,
    /// The same slots by their first page. They do not overlap.
    by_page: BTreeMap<Gfn, SlotId>,
}

impl MemSlots {
    /// No slots yet.
    #[must_use]
    pub const fn new(page_size: PageSize) -> Self {
        Self { page_size, slots: BTreeMap::new(), by_page: BTreeMap::new() }
    }

    /// Page size of the VM.
    #[must_use]
    pub const fn page_size(&self) -> PageSize {
        self.page_size
    }

    /// Adds a slot.
    ///
    /// # Errors
    /// [`SlotError`], checked in the order of its variants; of several slots that it overlaps, the one with the lowest
    /// number is named.
    pub fn insert(&mut self, id: SlotId, slot: MemSlot) -> Result<(), SlotError> {
        if slot.pages == 0 {
            return Err(SlotError::Empty);
        }
        let limit = u64::MAX >> self.page_size.shift();
        let end = slot.first.0.checked_add(slot.pages).filter(|end| *end <= limit).ok_or(SlotError::Wraps)?;
        let bytes = slot.pages << self.page_size.shift();
        slot.host.checked_add(bytes).ok_or(SlotError::Wraps)?;
        if !self.page_size.is_aligned(slot.host.0) {
            return Err(SlotError::Unaligned(slot.host));
        }
        // The slots that begin before the end of this one, from behind, until one ends before its beginning.
        let before = self.by_page.range(..Gfn(end)).rev().map(|(_, id)| *id);
        let overlapping =
            before.take_while(|id| self.slots.get(id).is_some_and(|s| slot.first.0 < s.first.0 + s.pages));
        if let Some(id) = overlapping.min() {
            return Err(SlotError::Overlap(id));
        }
        if self.slots.contains_key(&id) {
            return Err(SlotError::Exists(id));
        }
        self.slots.insert(id, slot);
        self.by_page.insert(slot.first, id);
        Ok(())
    }

    /// Takes a slot out.
    pub fn remove(&mut self, id: SlotId) -> Option<MemSlot> {
        let slot = self.slots.remove(&id)?;
        self.by_page.remove(&slot.first);
        Some(slot)
    }

    /// The slots by number.
    pub fn iter(&self) -> impl Iterator<Item = (SlotId, MemSlot)> {
        self.slots.iter().map(|(id, slot)| (*id, *slot))
    }

    /// The slot that holds `gfn`.
    #[must_use]
    pub fn find(&self, gfn: Gfn) -> Option<MemSlot> {
        let (_, id) = self.by_page.range(..=gfn).next_back()?;
        self.slots.get(id).filter(|slot| gfn.0 - slot.first.0 < slot.pages).copied()
    }

    /// Where page `gfn` lies in normal memory.
    #[must_use]
    pub fn host_page(&self, gfn: Gfn) -> Option<HostAddr> {
        let slot = self.find(gfn)?;
        slot.host.checked_add((gfn.0 - slot.first.0) << self.page_size.shift())
    }

    /// Where the byte at `addr` lies in normal memory.
    #[must_use]
    pub fn host_addr(&self, addr: GuestAddr) -> Option<HostAddr> {
        self.host_page(self.page_size.gfn(addr))?.checked_add(self.page_size.offset(addr.0))
    }

    /// First guest page after the highest slot; 0 without slots.
    #[must_use]
    pub fn end(&self) -> Gfn {
        let last = self.by_page.last_key_value().and_then(|(_, id)| self.slots.get(id));
        Gfn(last.map_or(0, |slot| slot.first.0 + slot.pages))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(first: u64, pages: u64, host: u64) -> MemSlot {
        MemSlot { first: Gfn(first), pages, host: HostAddr(host) }
    }

    #[test]
    fn refusals_in_their_order() {
        let mut slots = MemSlots::new(PageSize::K4);
        assert_eq!(slots.insert(SlotId(0), slot(0, 0, 1)), Err(SlotError::Empty));
        assert_eq!(slots.insert(SlotId(0), slot(u64::MAX, 2, 1)), Err(SlotError::Wraps));
        assert_eq!(slots.insert(SlotId(0), slot(0, 2, u64::MAX - 0xfff)), Err(SlotError::Wraps));
        assert_eq!(slots.insert(SlotId(0), slot((1 << 52) - 1, 1, 0)), Err(SlotError::Wraps), "ends at 2^64");
        assert_eq!(slots.insert(SlotId(0), slot((1 << 52) - 2, 1, 0)), Ok(()));
        assert_eq!(slots.remove(SlotId(0)), Some(slot((1 << 52) - 2, 1, 0)));
        assert_eq!(slots.insert(SlotId(0), slot(0, 2, 1)), Err(SlotError::Unaligned(HostAddr(1))));
        slots.insert(SlotId(0), slot(0, 2, 0x1000)).unwrap();
        assert_eq!(slots.insert(SlotId(0), slot(1, 2, 0x9000)), Err(SlotError::Overlap(SlotId(0))));
        assert_eq!(slots.insert(SlotId(0), slot(2, 2, 0x9000)), Err(SlotError::Exists(SlotId(0))));
        slots.insert(SlotId(1), slot(2, 2, 0x9000)).unwrap();
    }

    #[test]
    fn addresses_follow_the_slots() {
        let mut slots = MemSlots::new(PageSize::K64);
        slots.insert(SlotId(0), slot(0, 2, 0x10_0000)).unwrap();
        slots.insert(SlotId(7), slot(8, 1, 0x50_0000)).unwrap();
        assert_eq!(slots.host_addr(GuestAddr(0x1_0010)), Some(HostAddr(0x11_0010)));
        assert_eq!(slots.host_addr(GuestAddr(0x2_0000)), None);
        assert_eq!(slots.host_page(Gfn(8)), Some(HostAddr(0x50_0000)));
        assert_eq!(slots.end(), Gfn(9));
        assert!(slots.remove(SlotId(7)).is_some() && slots.host_page(Gfn(8)).is_none());
    }

    /// Every number and page against a plain list of the slots.
    #[test]
    fn slots_are_found_by_page_whatever_their_numbers() {
        let mut slots = MemSlots::new(PageSize::K4);
        // First page, pages, number: holes between some, numbers in no order.
        let list = [(10, 5, 7), (0, 3, 9), (15, 1, 2), (40, 20, 0), (20, 20, 4), (3, 2, 5)];
        for (first, pages, id) in list {
            slots.insert(SlotId(id), slot(first, pages, first << 20)).unwrap();
        }
        let holder = |slots: &MemSlots, page| slots.find(Gfn(page)).map(|slot| slot.first.0);
        let expected = |page: u64, gone: u16| {
            list.iter().find(|(first, pages, id)| *id != gone && (*first..first + pages).contains(&page)).map(|s| s.0)
        };
        (0..70).for_each(|page| assert_eq!(holder(&slots, page), expected(page, u16::MAX), "{page}"));
        assert_eq!(slots.iter().map(|(id, _)| id.0).collect::<alloc::vec::Vec<_>>(), [0, 2, 4, 5, 7, 9]);
        // From the hole at 5 over 10, 15 and the first page of 20: the lowest number counts, not the lowest page.
        assert_eq!(slots.insert(SlotId(99), slot(5, 16, 0)), Err(SlotError::Overlap(SlotId(2))));
        assert_eq!(slots.insert(SlotId(99), slot(59, 9, 0)), Err(SlotError::Overlap(SlotId(0))), "by the last page");
        assert_eq!(slots.insert(SlotId(99), slot(16, 4, 0)), Ok(()), "between two");
        assert!(slots.remove(SlotId(99)).is_some() && slots.remove(SlotId(99)).is_none());
        assert_eq!(slots.end(), Gfn(60));
        assert!(slots.remove(SlotId(0)).is_some());
        assert_eq!((slots.end(), slots.insert(SlotId(99), slot(40, 1, 0))), (Gfn(40), Ok(())));
        assert_eq!(holder(&slots, 40), Some(40));
        assert_eq!(holder(&slots, 41), None);
    }

    /// As many slots as KVM takes: with a step for each slot in each call this test would take minutes.
    #[test]
    fn as_many_slots_as_kvm_takes_are_no_burden() {
        const SLOTS: u16 = 32_764;
        let mut slots = MemSlots::new(PageSize::K4);
        // Higher numbers at lower pages.
        let first = |id: u16| u64::from(SLOTS - 1 - id) * 3;
        for id in 0..SLOTS {
            slots.insert(SlotId(id), slot(first(id), 2, u64::from(id) << 13)).unwrap();
        }
        assert_eq!(slots.end(), Gfn(first(0) + 2));
        for id in 0..SLOTS {
            assert_eq!(slots.host_page(Gfn(first(id) + 1)), Some(HostAddr((u64::from(id) << 13) + 0x1000)));
            assert_eq!(slots.host_page(Gfn(first(id) + 2)), None);
        }
        (0..SLOTS).for_each(|id| assert!(slots.remove(SlotId(id)).is_some()));
        assert_eq!((slots.end(), slots.iter().count()), (Gfn(0), 0));
    }
}
