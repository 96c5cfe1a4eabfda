//! Memory slots: which normal memory the hypervisor puts behind which guest addresses.

use alloc::collections::BTreeMap;

use crate::{Gfn, GuestAddr, HostAddr, PageRange, PageSize};

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

impl MemSlot {
    /// Its guest pages.
    #[must_use]
    pub const fn range(&self) -> PageRange {
        PageRange::new(self.first, self.pages)
    }
}

/// Why a memory slot was refused. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
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

/// All memory slots of one VM.
#[derive(Clone, Debug)]
pub struct MemSlots {
    page_size: PageSize,
    slots: BTreeMap<SlotId, MemSlot>,
}

impl MemSlots {
    /// No slots yet.
    #[must_use]
    pub const fn new(page_size: PageSize) -> Self {
        Self { page_size, slots: BTreeMap::new() }
    }

    /// Page size of the VM.
    #[must_use]
    pub const fn page_size(&self) -> PageSize {
        self.page_size
    }

    /// Adds a slot.
    ///
    /// # Errors
    /// [`SlotError`], checked in the order of its variants.
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
        if let Some((id, _)) = self.slots.iter().find(|(_, s)| s.first.0 < end && slot.first.0 < s.first.0 + s.pages) {
            return Err(SlotError::Overlap(*id));
        }
        if self.slots.contains_key(&id) {
            return Err(SlotError::Exists(id));
        }
        self.slots.insert(id, slot);
        Ok(())
    }

    /// Takes a slot out.
    pub fn remove(&mut self, id: SlotId) -> Option<MemSlot> {
        self.slots.remove(&id)
    }

    /// The slots by number.
    pub fn iter(&self) -> impl Iterator<Item = (SlotId, MemSlot)> {
        self.slots.iter().map(|(id, slot)| (*id, *slot))
    }

    /// The slot that holds `gfn`.
    #[must_use]
    pub fn find(&self, gfn: Gfn) -> Option<MemSlot> {
        self.slots.values().find(|s| gfn >= s.first && gfn.0 - s.first.0 < s.pages).copied()
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
        Gfn(self.slots.values().map(|s| s.first.0 + s.pages).max().unwrap_or(0))
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
}
