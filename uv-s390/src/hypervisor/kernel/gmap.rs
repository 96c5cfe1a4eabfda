//! The guest's address space as the kernel keeps it: memory slots, and for each page what the kernel knows of it.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicU8, Ordering};

use bitflags::bitflags;
use spin::RwLock;
use uv_core::{Gfn, GuestAddr, HostAddr, MemSlot, MemSlots, PageSize, SlotId};

use super::HostError;
use crate::abi::sie::{GuestMap, HostMapping, MappingSize};

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
        /// One segment entry maps the page together with its MiB. All 256 pages have it or none.
        const LARGE = 16;
        /// The frame may belong to a configuration that was set aside.
        const LEFTOVER = 32;
        /// Somebody moves the page: a call of the Ultravisor and the flags change together.
        const BUSY = 64;
        /// What is said of the content under the configuration of now.
        const CONTENT = Self::IMPORTED.bits() | Self::EXPORTED.bits() | Self::WITHDRAWN.bits();
    }
}

/// What is known of each page of a slot.
type Cells = Box<[AtomicU8]>;

/// The slots, with the cells of their pages.
struct Layout {
    slots: Arc<MemSlots>,
    table: Vec<(SlotId, MemSlot, Cells)>,
}

/// Page tables of one guest. Pages are mapped one by one, when they are first needed, as a kernel does.
pub(super) struct Gmap {
    layout: RwLock<Layout>,
    huge: bool,
}

impl fmt::Debug for Gmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gmap").field("slots", &self.slots()).field("huge", &self.huge).finish_non_exhaustive()
    }
}

/// A page that nobody else moves for as long as the guard lives. One page at a time.
pub(super) struct PageGuard<'a> {
    gmap: &'a Gmap,
    gfn: Gfn,
}

impl Drop for PageGuard<'_> {
    fn drop(&mut self) {
        self.gmap.change(self.gfn, PageFlags::empty(), PageFlags::BUSY);
    }
}

/// All pages of the MiB that a page is in.
fn mib(gfn: Gfn) -> impl Iterator<Item = Gfn> {
    (gfn.0 & !0xff..=gfn.0 | 0xff).map(Gfn)
}

/// `None` when the host has no memory for them.
fn cells(slot: MemSlot) -> Option<Cells> {
    let mut cells = Vec::new();
    cells.try_reserve_exact(usize::try_from(slot.pages).ok()?).ok()?;
    cells.extend((0..slot.pages).map(|_| AtomicU8::new(0)));
    Some(cells.into_boxed_slice())
}

impl Gmap {
    /// An address space in which nothing is mapped yet.
    pub(super) fn new(slots: MemSlots, huge: bool) -> Result<Self, HostError> {
        let table = slots.iter().map(|(id, slot)| Some((id, slot, cells(slot)?))).collect::<Option<_>>();
        let table = table.ok_or_else(|| HostError::NoStorage(slots.end().0))?;
        Ok(Self { layout: RwLock::new(Layout { slots: Arc::new(slots), table }), huge })
    }

    /// Keeps everybody else from moving a page: waits for whoever does. A page in no slot is nobody's.
    pub(super) fn hold(&self, gfn: Gfn) -> PageGuard<'_> {
        let busy = PageFlags::BUSY.bits();
        while self.cell(gfn, |cell| cell.fetch_or(busy, Ordering::AcqRel) & busy != 0).unwrap_or(false) {
            core::hint::spin_loop();
        }
        PageGuard { gmap: self, gfn }
    }

    pub(super) fn slots(&self) -> Arc<MemSlots> {
        self.layout.read().slots.clone()
    }

    /// Adds a slot, with nothing mapped in it.
    pub(super) fn add_slot(&self, id: SlotId, slot: MemSlot) -> Result<(), HostError> {
        let mut layout = self.layout.write();
        let mut slots = (*layout.slots).clone();
        slots.insert(id, slot)?;
        let cells = cells(slot).ok_or(HostError::NoStorage(slot.pages))?;
        layout.slots = Arc::new(slots);
        layout.table.push((id, slot, cells));
        Ok(())
    }

    /// Takes a slot out, with what was known of its pages.
    pub(super) fn remove_slot(&self, id: SlotId) -> Option<MemSlot> {
        let mut layout = self.layout.write();
        let mut slots = (*layout.slots).clone();
        let removed = slots.remove(id)?;
        layout.slots = Arc::new(slots);
        layout.table.retain(|(known, ..)| *known != id);
        Some(removed)
    }

    /// Whether huge pages back the guest.
    pub(super) fn is_huge(&self) -> bool {
        self.huge
    }

    /// Does something with the cell of a page; `None` for a page in no slot.
    fn cell<T>(&self, gfn: Gfn, act: impl FnOnce(&AtomicU8) -> T) -> Option<T> {
        let layout = self.layout.read();
        let inside = |slot: &MemSlot| gfn >= slot.first && gfn.0 - slot.first.0 < slot.pages;
        let (_, slot, cells) = layout.table.iter().find(|(_, slot, _)| inside(slot))?;
        cells.get(usize::try_from(gfn.0 - slot.first.0).ok()?).map(act)
    }

    /// What is known of a page; nothing for a page in no slot.
    pub(super) fn flags(&self, gfn: Gfn) -> PageFlags {
        let flags = self.cell(gfn, |cell| PageFlags::from_bits_truncate(cell.load(Ordering::Acquire)));
        flags.unwrap_or(PageFlags::empty()) - PageFlags::BUSY
    }

    /// Sets and clears flags of a page.
    pub(super) fn change(&self, gfn: Gfn, set: PageFlags, clear: PageFlags) {
        let change = |old| Some(old & !clear.bits() | set.bits());
        let _ = self.cell(gfn, |cell| cell.fetch_update(Ordering::AcqRel, Ordering::Acquire, change));
    }

    /// Host frame of a page, mapped or not.
    pub(super) fn frame(&self, gfn: Gfn) -> Option<HostAddr> {
        self.layout.read().slots.host_page(gfn)
    }

    /// Maps a page of a protected guest, writable. `false` when there is no memory, or memory that cannot become secure.
    pub(super) fn fault_in(&self, gfn: Gfn) -> bool {
        !self.huge && self.map(gfn)
    }

    /// Maps a page of an ordinary guest, writable. `false` when there is no memory.
    pub(super) fn map(&self, gfn: Gfn) -> bool {
        let possible = self.cell(gfn, |_| ()).is_some();
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

    /// Maps the MiB that begins at `first` with one segment entry.
    pub(super) fn merge(&self, first: Gfn) {
        mib(first).for_each(|gfn| self.change(gfn, PageFlags::MAPPED | PageFlags::LARGE, PageFlags::empty()));
    }

    /// Maps the MiB of a page with 4 KiB entries again, if it was mapped with one segment entry.
    pub(super) fn split(&self, gfn: Gfn) {
        if self.is_merged(gfn) {
            mib(gfn).for_each(|gfn| self.change(gfn, PageFlags::empty(), PageFlags::LARGE));
        }
    }

    /// Whether one segment entry maps the page.
    pub(super) fn is_merged(&self, gfn: Gfn) -> bool {
        self.flags(gfn).contains(PageFlags::LARGE)
    }

    /// Takes a page out of the page tables, as memory pressure does. Its content stays in its frame.
    pub(super) fn unmap(&self, gfn: Gfn) {
        self.split(gfn);
        self.change(gfn, PageFlags::empty(), PageFlags::MAPPED);
    }

    /// All pages of all slots.
    pub(super) fn pages(&self) -> impl Iterator<Item = Gfn> {
        let slots: Vec<MemSlot> = self.layout.read().table.iter().map(|(_, slot, _)| *slot).collect();
        slots.into_iter().flat_map(|slot| (0..slot.pages).map(move |page| slot.first.add(page)))
    }

    /// The guest page whose frame holds `host`.
    pub(super) fn page_at(&self, host: HostAddr) -> Option<Gfn> {
        let layout = self.layout.read();
        let slot = layout.table.iter().map(|(_, slot, _)| slot);
        let mut inside = slot.filter(|slot| host >= slot.host && (host.0 - slot.host.0) >> 12 < slot.pages);
        inside.next().map(|slot| slot.first.add((host.0 - slot.host.0) >> 12))
    }
}

impl GuestMap for Gmap {
    fn translate(&self, addr: GuestAddr) -> Option<HostMapping> {
        let gfn = PageSize::K4.gfn(addr);
        let flags = self.flags(gfn);
        if !flags.contains(PageFlags::MAPPED) {
            return None;
        }
        let size = if self.huge || flags.contains(PageFlags::LARGE) { MappingSize::Segment } else { MappingSize::Page };
        Some(HostMapping { frame: self.frame(gfn)?, writable: true, size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_mapped_one_by_one() {
        let mut slots = MemSlots::new(PageSize::K4);
        slots.insert(SlotId(0), MemSlot { first: Gfn(0), pages: 2, host: HostAddr(0x9000) }).unwrap();
        slots.insert(SlotId(1), MemSlot { first: Gfn(8), pages: 2, host: HostAddr(0x2_0000) }).unwrap();
        let gmap = Gmap::new(slots, false).unwrap();
        assert_eq!(gmap.translate(GuestAddr(0x8000)), None);
        assert!(gmap.fault_in(Gfn(8)) && !gmap.fault_in(Gfn(2)));
        assert_eq!(gmap.translate(GuestAddr(0x8123)).unwrap().frame, HostAddr(0x2_0000));
        assert_eq!((gmap.page_at(HostAddr(0x2_1fff)), gmap.page_at(HostAddr(0x2_2000))), (Some(Gfn(9)), None));
        gmap.unmap(Gfn(8));
        assert_eq!(gmap.translate(GuestAddr(0x8000)), None);
        assert!(gmap.pages().eq([Gfn(0), Gfn(1), Gfn(8), Gfn(9)]));
        gmap.add_slot(SlotId(2), MemSlot { first: Gfn(20), pages: 1, host: HostAddr(0x9_0000) }).unwrap();
        assert!(gmap.add_slot(SlotId(3), MemSlot { first: Gfn(20), pages: 1, host: HostAddr(0) }).is_err());
        assert!(gmap.map(Gfn(20)) && gmap.remove_slot(SlotId(9)).is_none());
        assert_eq!(gmap.remove_slot(SlotId(2)).unwrap().first, Gfn(20));
        assert_eq!((gmap.translate(GuestAddr(20 << 12)), gmap.slots().end()), (None, Gfn(10)));
        let endless = MemSlot { first: Gfn(1 << 40), pages: 1 << 50, host: HostAddr(0) };
        assert!(gmap.add_slot(SlotId(9), endless).is_err() && gmap.slots().end() == Gfn(10), "no memory for that");
        assert!(!Gmap::new((*gmap.slots()).clone(), true).unwrap().fault_in(Gfn(8)), "huge pages cannot become secure");
    }
}
