//! The guest's address space as the kernel keeps it: memory slots, and for each page what the kernel knows of it.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicU8, Ordering};

use bitflags::bitflags;
use uv_core::{Gfn, GuestAddr, HostAddr, MemSlot, MemSlots, PageSize};

use crate::sie::{GuestMap, HostMapping, MappingSize};

bitflags! {
    /// What the kernel remembers of a guest page (one byte a page).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct PageFlags: u8 {
        /// The page tables map the page: it was faulted in.
        const MAPPED = 1;
        /// The page was imported or unpacked, and not exported or destroyed since: its frame may be secure (Linux: PG_arch_1).
        const IMPORTED = 2;
        /// The page was exported: its frame holds what the Ultravisor wants back.
        const EXPORTED = 4;
        /// The page was shared when it was exported.
        const WITHDRAWN = 8;
    }
}

/// Page tables of one guest. Pages are mapped one by one, when they are first needed, as a kernel does.
pub(super) struct Gmap {
    slots: MemSlots,
    table: Vec<(MemSlot, Box<[AtomicU8]>)>,
    huge: bool,
}

impl fmt::Debug for Gmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gmap").field("slots", &self.slots).field("huge", &self.huge).finish_non_exhaustive()
    }
}

impl Gmap {
    /// An address space in which nothing is mapped yet.
    pub(super) fn new(slots: MemSlots, huge: bool) -> Self {
        let table = slots.iter().map(|(_, slot)| (slot, (0..slot.pages).map(|_| AtomicU8::new(0)).collect())).collect();
        Self { slots, table, huge }
    }

    pub(super) fn slots(&self) -> &MemSlots {
        &self.slots
    }

    /// Whether huge pages back the guest.
    pub(super) fn is_huge(&self) -> bool {
        self.huge
    }

    fn cell(&self, gfn: Gfn) -> Option<&AtomicU8> {
        let (slot, cells) =
            self.table.iter().find(|(slot, _)| gfn >= slot.first && gfn.0 - slot.first.0 < slot.pages)?;
        cells.get(usize::try_from(gfn.0 - slot.first.0).ok()?)
    }

    /// What is known of a page; nothing for a page in no slot.
    pub(super) fn flags(&self, gfn: Gfn) -> PageFlags {
        self.cell(gfn).map_or(PageFlags::empty(), |cell| PageFlags::from_bits_truncate(cell.load(Ordering::Acquire)))
    }

    /// Sets and clears flags of a page.
    pub(super) fn change(&self, gfn: Gfn, set: PageFlags, clear: PageFlags) {
        if let Some(cell) = self.cell(gfn) {
            let _ =
                cell.fetch_update(Ordering::AcqRel, Ordering::Acquire, |old| Some(old & !clear.bits() | set.bits()));
        }
    }

    /// Host frame of a page, mapped or not.
    pub(super) fn frame(&self, gfn: Gfn) -> Option<HostAddr> {
        self.slots.host_page(gfn)
    }

    /// Maps a page of a protected guest, writable. `false` when there is no memory, or memory that cannot become secure.
    pub(super) fn fault_in(&self, gfn: Gfn) -> bool {
        !self.huge && self.map(gfn)
    }

    /// Maps a page of an ordinary guest, writable. `false` when there is no memory.
    pub(super) fn map(&self, gfn: Gfn) -> bool {
        let possible = self.cell(gfn).is_some();
        if possible {
            self.change(gfn, PageFlags::MAPPED, PageFlags::empty());
        }
        possible
    }

    /// What happens to huge mappings when protection begins: they are taken out, and cannot come back as pages.
    pub(super) fn split_huge(&self) {
        if self.huge {
            self.pages().for_each(|gfn| self.unmap(gfn));
        }
    }

    /// Takes a page out of the page tables, as memory pressure does. Its content stays in its frame.
    pub(super) fn unmap(&self, gfn: Gfn) {
        self.change(gfn, PageFlags::empty(), PageFlags::MAPPED);
    }

    /// All pages of all slots.
    pub(super) fn pages(&self) -> impl Iterator<Item = Gfn> {
        self.table.iter().flat_map(|(slot, _)| (0..slot.pages).map(|page| slot.first.add(page)))
    }

    /// The guest page whose frame holds `host`.
    pub(super) fn page_at(&self, host: HostAddr) -> Option<Gfn> {
        let slot = self.table.iter().map(|(slot, _)| slot);
        let mut inside = slot.filter(|slot| host >= slot.host && (host.0 - slot.host.0) >> 12 < slot.pages);
        inside.next().map(|slot| slot.first.add((host.0 - slot.host.0) >> 12))
    }
}

impl GuestMap for Gmap {
    fn translate(&self, addr: GuestAddr) -> Option<HostMapping> {
        let gfn = PageSize::K4.gfn(addr);
        if !self.flags(gfn).contains(PageFlags::MAPPED) {
            return None;
        }
        let size = if self.huge { MappingSize::Segment } else { MappingSize::Page };
        Some(HostMapping { frame: self.frame(gfn)?, writable: true, size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uv_core::SlotId;

    #[test]
    fn pages_are_mapped_one_by_one() {
        let mut slots = MemSlots::new(PageSize::K4);
        slots.insert(SlotId(0), MemSlot { first: Gfn(0), pages: 2, host: HostAddr(0x9000) }).unwrap();
        slots.insert(SlotId(1), MemSlot { first: Gfn(8), pages: 2, host: HostAddr(0x2_0000) }).unwrap();
        let gmap = Gmap::new(slots, false);
        assert_eq!(gmap.translate(GuestAddr(0x8000)), None);
        assert!(gmap.fault_in(Gfn(8)) && !gmap.fault_in(Gfn(2)));
        assert_eq!(gmap.translate(GuestAddr(0x8123)).unwrap().frame, HostAddr(0x2_0000));
        assert_eq!((gmap.page_at(HostAddr(0x2_1fff)), gmap.page_at(HostAddr(0x2_2000))), (Some(Gfn(9)), None));
        gmap.unmap(Gfn(8));
        assert_eq!(gmap.translate(GuestAddr(0x8000)), None);
        assert!(gmap.pages().eq([Gfn(0), Gfn(1), Gfn(8), Gfn(9)]));
        assert!(!Gmap::new(gmap.slots().clone(), true).fault_in(Gfn(8)), "huge pages cannot become secure");
    }
}
