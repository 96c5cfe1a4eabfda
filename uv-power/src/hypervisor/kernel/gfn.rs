//! KVM's word for each guest page of a VM that is, or becomes, secure (power-pef §6.1).
//!
//! | word | the page | normal page |
//! |---|---|---|
//! | 0 | normal: the VM is not secure, or the page has not moved yet | an ordinary page |
//! | bit 63 and a device page number | secure and resident ("uvmem") | stands still, is not the guest's |
//! | bit 62 | secure and paged out | ciphertext |
//! | bit 61 | shared | visible to guest and host |
//! | bits 61 and 60 | shared, and the host took its page away | kept for the guest |
//!
//! Bits 60 and 59 are this library's: Linux finds the first out from its page tables, and keeps the second, "normal once it
//! is out", with the device page (`remove_gfn`).

use alloc::{boxed::Box, collections::BTreeMap};
use core::sync::atomic::{AtomicU64, Ordering};

use spin::RwLock;
use uv_core::{Gfn, PageRange, SlotId};

use super::pool::DevicePage;

const UVMEM: u64 = 1 << 63;
const PAGED_OUT: u64 = 1 << 62;
const SHARED: u64 = 1 << 61;
const INVALIDATED: u64 = 1 << 60;
const REMOVE: u64 = 1 << 59;

/// What KVM knows about a guest page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GfnState {
    /// Not moved, or not secure.
    Normal,
    /// Secure; the device page stands for the frame.
    Uvmem(DevicePage),
    /// Secure, its ciphertext is in the normal page.
    PagedOut,
    /// Shared with the guest.
    Shared,
    /// Shared, and the normal page was taken away.
    Invalidated,
}

impl GfnState {
    fn word(self) -> u64 {
        match self {
            Self::Normal => 0,
            Self::Uvmem(page) => UVMEM | u64::from(page.0),
            Self::PagedOut => PAGED_OUT,
            Self::Shared => SHARED,
            Self::Invalidated => SHARED | INVALIDATED,
        }
    }

    fn from_word(word: u64) -> Self {
        let [_, _, _, _, low @ ..] = word.to_be_bytes();
        match word & (UVMEM | PAGED_OUT | SHARED | INVALIDATED) {
            0 => Self::Normal,
            bits if bits & UVMEM != 0 => Self::Uvmem(DevicePage(u32::from_be_bytes(low))),
            bits if bits & PAGED_OUT != 0 => Self::PagedOut,
            SHARED => Self::Shared,
            _ => Self::Invalidated,
        }
    }
}

struct SlotWords {
    first: Gfn,
    words: Box<[AtomicU64]>,
}

/// The words of all slots of a VM. A slot has its array from `H_SVM_INIT_START` (or its hot-plug) on until it is dropped.
#[derive(Default)]
pub(super) struct GfnTable {
    slots: RwLock<BTreeMap<SlotId, SlotWords>>,
}

impl GfnTable {
    /// Gives a slot its array, all pages normal. A slot that has one keeps it.
    pub(super) fn add(&self, id: SlotId, first: Gfn, pages: u64) {
        self.slots
            .write()
            .entry(id)
            .or_insert_with(|| SlotWords { first, words: (0..pages).map(|_| AtomicU64::new(0)).collect() });
    }

    /// The pages of a slot that has an array.
    pub(super) fn pages(&self, id: SlotId) -> Option<PageRange> {
        self.slots.read().get(&id).map(|slot| PageRange::new(slot.first, slot.words.len() as u64))
    }

    /// Takes a slot's array away.
    pub(super) fn remove(&self, id: SlotId) {
        self.slots.write().remove(&id);
    }

    /// Whether no slot has an array.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.read().is_empty()
    }

    fn with<R>(&self, gfn: Gfn, act: impl FnOnce(&AtomicU64) -> R) -> Option<R> {
        let slots = self.slots.read();
        let slot = slots.values().find(|s| gfn >= s.first && gfn.0 - s.first.0 < s.words.len() as u64)?;
        let index = usize::try_from(gfn.0 - slot.first.0).ok()?;
        slot.words.get(index).map(act)
    }

    /// Whether a page is in an array.
    pub(super) fn knows(&self, gfn: Gfn) -> bool {
        self.with(gfn, |_| ()).is_some()
    }

    /// The state of a page; `Normal` for one in no array.
    pub(super) fn get(&self, gfn: Gfn) -> GfnState {
        self.with(gfn, |word| GfnState::from_word(word.load(Ordering::Acquire))).unwrap_or(GfnState::Normal)
    }

    /// A resident page is to be normal, and not paged out, once it has left secure memory.
    pub(super) fn remove_when_out(&self, gfn: Gfn) {
        self.with(gfn, |word| word.fetch_or(REMOVE, Ordering::AcqRel));
    }

    /// What a page becomes that leaves secure memory.
    pub(super) fn state_when_out(&self, gfn: Gfn) -> GfnState {
        let remove = self.with(gfn, |word| word.load(Ordering::Acquire) & REMOVE != 0);
        if remove == Some(true) { GfnState::Normal } else { GfnState::PagedOut }
    }

    /// Sets the state of a page. A page in no array stays without one.
    pub(super) fn set(&self, gfn: Gfn, state: GfnState) {
        self.with(gfn, |word| word.store(state.word(), Ordering::Release));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_kernel() {
        assert_eq!(GfnState::Uvmem(DevicePage(5)).word(), 0x8000_0000_0000_0005);
        assert_eq!(GfnState::PagedOut.word(), 0x4000_0000_0000_0000);
        assert_eq!(GfnState::Shared.word(), 0x2000_0000_0000_0000);
        let all = [
            GfnState::Normal,
            GfnState::Uvmem(DevicePage(u32::MAX)),
            GfnState::PagedOut,
            GfnState::Shared,
            GfnState::Invalidated,
        ];
        assert!(all.iter().all(|state| GfnState::from_word(state.word()) == *state));
    }

    #[test]
    fn pages_outside_every_slot_are_normal() {
        let table = GfnTable::default();
        table.set(Gfn(0), GfnState::Shared);
        assert_eq!(table.get(Gfn(0)), GfnState::Normal);
        table.add(SlotId(1), Gfn(4), 2);
        assert_eq!([4, 5].map(|gfn| table.with(Gfn(gfn), |word| word.load(Ordering::Acquire))), [Some(0); 2]);
        table.set(Gfn(5), GfnState::PagedOut);
        table.add(SlotId(1), Gfn(4), 2);
        assert_eq!((table.get(Gfn(5)), table.get(Gfn(6))), (GfnState::PagedOut, GfnState::Normal));
        table.remove(SlotId(1));
        assert_eq!(table.get(Gfn(5)), GfnState::Normal);
    }
}
