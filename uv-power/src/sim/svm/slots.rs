//! Registered memory slots of a secure VM (power-pef §3.8).

use alloc::collections::BTreeMap;

use uv_core::{Gfn, PageRange};

/// Guest pages in one unit of reservation, 2 MiB.
const UNIT: u64 = 32;

/// The slots by number. Only guest addresses: which normal memory lies behind is the hypervisor's business. They do not
/// overlap, and a look-up takes logarithmic time.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    by_number: BTreeMap<u16, PageRange>,
    /// The same slots by their first page.
    by_page: BTreeMap<Gfn, u16>,
}

impl Slots {
    /// The slot that a range overlaps, other than `id` itself.
    pub(crate) fn overlapping(&self, id: u16, range: PageRange) -> Option<u16> {
        let end = range.first.0.saturating_add(range.count);
        let meets = |slot: &PageRange| slot.first.0 < end && range.first.0 < slot.first.0 + slot.count;
        // Those that begin before the end, from behind, until one ends before the beginning.
        let before =
            self.by_page.range(..Gfn(end)).rev().filter_map(|(_, other)| Some((*other, self.by_number.get(other)?)));
        before.take_while(|(_, slot)| meets(slot)).map(|(other, _)| other).filter(|other| *other != id).min()
    }

    /// Puts a slot in. An empty range is none.
    pub(crate) fn insert(&mut self, id: u16, range: PageRange) {
        if range.count > 0 {
            self.remove(id);
            self.by_number.insert(id, range);
            self.by_page.insert(range.first, id);
        }
    }

    pub(crate) fn remove(&mut self, id: u16) -> Option<PageRange> {
        let range = self.by_number.remove(&id)?;
        self.by_page.remove(&range.first);
        Some(range)
    }

    /// Whether a page is in a slot.
    pub(crate) fn contains(&self, gfn: Gfn) -> bool {
        self.find(gfn).is_some()
    }

    /// The slot that a page is in.
    fn find(&self, gfn: Gfn) -> Option<PageRange> {
        let (_, id) = self.by_page.range(..=gfn).next_back()?;
        self.by_number.get(id).filter(|slot| slot.contains(gfn)).copied()
    }

    /// Whether every page of a range is in a slot; slots may be joined. An empty range is covered when the page before
    /// it is.
    pub(crate) fn cover(&self, range: PageRange) -> bool {
        let Some(end) = range.first.0.checked_add(range.count) else { return false };
        let mut next = if range.count == 0 { range.first.0.wrapping_sub(1) } else { range.first.0 };
        if range.count == 0 {
            return self.contains(Gfn(next));
        }
        while next < end {
            match self.find(Gfn(next)) {
                Some(slot) => next = slot.first.0 + slot.count,
                None => return false,
            }
        }
        true
    }

    /// The slots in the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = PageRange> {
        self.by_number.values().copied()
    }

    /// Units of 2 MiB that a range touches.
    pub(crate) const fn units(range: PageRange) -> u64 {
        if range.count == 0 {
            return 0;
        }
        (range.first.0 + range.count - 1) / UNIT - range.first.0 / UNIT + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_join_and_count_their_units() {
        let mut slots = Slots::default();
        slots.insert(1, PageRange::new(Gfn(0), 2));
        slots.insert(2, PageRange::new(Gfn(2), 1));
        assert!(slots.cover(PageRange::new(Gfn(0), 3)) && !slots.cover(PageRange::new(Gfn(0), 4)));
        assert!(slots.cover(PageRange::new(Gfn(3), 0)) && !slots.cover(PageRange::new(Gfn(0), 0)));
        assert!(!slots.cover(PageRange::new(Gfn(2), u64::MAX)));
        assert_eq!(slots.overlapping(3, PageRange::new(Gfn(1), 1)), Some(1));
        assert_eq!(slots.overlapping(1, PageRange::new(Gfn(1), 1)), None);
        assert_eq!(slots.remove(1), Some(PageRange::new(Gfn(0), 2)));
        slots.insert(1, PageRange::new(Gfn(9), 0));
        assert!(!slots.contains(Gfn(0)) && slots.remove(1).is_none());
        assert_eq!(Slots::units(PageRange::new(Gfn(31), 2)), 2);
        assert_eq!(Slots::units(PageRange::new(Gfn(0), 32)), 1);
    }
}
