//! The page table of one VM: an atomic word for each page.
//!
//! # What a page costs
//! A leaf of 4096 pages appears when one of its pages is first touched.
//!
//! | page | table | beside it |
//! |---|---|---|
//! | absent, in a leaf that was never touched | 0 bytes (16 bytes for all 4096) | nothing |
//! | absent, in a touched leaf | 8 bytes | nothing |
//! | secure | 8 bytes | its frame (4 or 64 KiB) and 48 bytes of slot |
//! | sealed | 8 bytes | a seal record of 48 bytes |
//! | shared, withdrawn | 8 bytes | nothing |
//!
//! A 1 TiB guest of 4 KiB pages therefore starts at 1 MiB of root and ends at 2 GiB of words when every page was touched.

use alloc::boxed::Box;
use core::sync::atomic::{AtomicU64, Ordering};

use spin::Once;
use uv_core::{Gfn, PageState};

/// Pages in a leaf.
const LEAF: usize = 4096;

const STATE_SHIFT: u32 = 61;
const BUSY: u64 = 1 << 60;
const LABEL_SHIFT: u32 = 52;
const LABEL_MASK: u64 = 0xff << LABEL_SHIFT;
/// Set at every guest access, taken away by the clock that looks for cold pages.
const REFERENCED: u64 = 1 << 51;
const PAYLOAD: u64 = REFERENCED - 1;

/// Eight bits beside a page's state that belong to whoever uses the engine. The engine keeps them with the page and never
/// looks at them; they go back to 0 when the page becomes absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Label(pub u8);

/// One page: state, label, payload (frame number, record number or normal page number), and whether somebody is
/// changing it right now.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word(u64);

impl Word {
    pub(crate) const ABSENT: Self = Self(0);

    pub(crate) fn new(state: PageState, label: Label, payload: u64) -> Self {
        debug_assert!(payload <= PAYLOAD);
        let code: u64 = match state {
            PageState::Secure => 1,
            PageState::Sealed => 2,
            PageState::Shared => 3,
            PageState::Withdrawn => 4,
            // Absent; there is no other.
            _ => 0,
        };
        Self(code << STATE_SHIFT | u64::from(label.0) << LABEL_SHIFT | payload & PAYLOAD)
    }

    pub(crate) fn state(self) -> PageState {
        match self.0 >> STATE_SHIFT {
            1 => PageState::Secure,
            2 => PageState::Sealed,
            3 => PageState::Shared,
            4 => PageState::Withdrawn,
            _ => PageState::Absent,
        }
    }

    pub(crate) fn is_busy(self) -> bool {
        self.0 & BUSY != 0
    }

    pub(crate) fn label(self) -> Label {
        let [.., low] = (self.0 >> LABEL_SHIFT).to_be_bytes();
        Label(low)
    }

    pub(crate) fn with_label(self, label: Label) -> Self {
        Self(self.0 & !LABEL_MASK | u64::from(label.0) << LABEL_SHIFT)
    }

    pub(crate) fn payload(self) -> u64 {
        self.0 & PAYLOAD
    }

    /// Whether both words say that the content is at the same place and nobody moves it.
    pub(crate) fn same_place(self, other: Self) -> bool {
        !self.is_busy() && self.state() == other.state() && self.payload() == other.payload()
    }

    /// The payload as a frame or record number.
    pub(crate) fn index(self) -> u32 {
        let [_, _, _, _, low @ ..] = self.0.to_be_bytes();
        u32::from_be_bytes(low)
    }
}

/// Two levels of words for page numbers 0 .. limit.
pub(crate) struct PageTable {
    root: Box<[Once<Box<[AtomicU64]>>]>,
    limit: u64,
}

impl PageTable {
    /// A table for pages 0 .. `limit`. Costs 16 bytes for each 4096 pages at once.
    pub(crate) fn new(limit: u64) -> Self {
        let leaves = usize::try_from(limit.div_ceil(LEAF as u64)).expect("the table root fits the address space");
        Self { root: (0..leaves).map(|_| Once::new()).collect(), limit }
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    fn split(&self, gfn: Gfn) -> Option<(usize, usize)> {
        let number = usize::try_from(gfn.0).ok().filter(|_| gfn.0 < self.limit)?;
        Some((number / LEAF, number % LEAF))
    }

    /// The word of a page; `None` past the limit. Makes no leaf.
    pub(crate) fn get(&self, gfn: Gfn) -> Option<Word> {
        let (leaf, index) = self.split(gfn)?;
        Some(self.root[leaf].get().map_or(Word::ABSENT, |words| Word(words[index].load(Ordering::Acquire))))
    }

    /// Marks the page busy and gives the word it had. `Ok(Err(word))` when it is busy already; `None` past the limit.
    pub(crate) fn claim(&self, gfn: Gfn) -> Option<Result<Word, Word>> {
        let (leaf, index) = self.split(gfn)?;
        let words = self.root[leaf].call_once(|| (0..LEAF).map(|_| AtomicU64::new(0)).collect());
        let old = Word(words[index].fetch_or(BUSY, Ordering::AcqRel));
        Some(if old.is_busy() { Err(old) } else { Ok(old) })
    }

    /// Ends a claim with a new word. The mark of use starts anew.
    pub(crate) fn release(&self, gfn: Gfn, word: Word) {
        debug_assert!(!word.is_busy());
        if let Some((leaf, index)) = self.split(gfn)
            && let Some(words) = self.root[leaf].get()
        {
            words[index].store(word.0, Ordering::Release);
        }
    }

    /// Notes that the guest used the page.
    pub(crate) fn reference(&self, gfn: Gfn) {
        if let Some((leaf, index)) = self.split(gfn)
            && let Some(words) = self.root[leaf].get()
            && words[index].load(Ordering::Relaxed) & REFERENCED == 0
        {
            words[index].fetch_or(REFERENCED, Ordering::Relaxed);
        }
    }

    /// The first secure page from `from` on that was not used since the clock last passed; takes the mark from those
    /// it passes. `None` at the end of the table.
    pub(crate) fn cold(&self, from: Gfn) -> Option<Gfn> {
        let (start, _) = self.split(from)?;
        for (n, leaf) in self.root.iter().enumerate().skip(start) {
            let Some(words) = leaf.get() else { continue };
            for (index, word) in words.iter().enumerate() {
                let gfn = Gfn((n * LEAF + index) as u64);
                let value = Word(word.load(Ordering::Acquire));
                if gfn < from || value.state() != PageState::Secure || value.is_busy() {
                    continue;
                }
                if value.0 & REFERENCED == 0 {
                    return Some(gfn);
                }
                word.fetch_and(!REFERENCED, Ordering::Relaxed);
            }
        }
        None
    }

    /// Every page of a touched leaf whose word is not 0, in order.
    pub(crate) fn used(&self) -> impl Iterator<Item = (Gfn, Word)> {
        self.root.iter().enumerate().filter_map(|(n, leaf)| Some((n, leaf.get()?))).flat_map(|(n, words)| {
            words.iter().enumerate().filter_map(move |(index, word)| {
                let word = Word(word.load(Ordering::Acquire));
                (word.0 != 0).then(|| (Gfn((n * LEAF + index) as u64), word))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_what_is_put_in() {
        for state in [PageState::Secure, PageState::Sealed, PageState::Shared, PageState::Withdrawn] {
            let word = Word::new(state, Label(0xa5), 0x1_2345_6789);
            assert_eq!((word.state(), word.label(), word.payload()), (state, Label(0xa5), 0x1_2345_6789));
            assert_eq!(word.with_label(Label(3)).label(), Label(3));
            assert!(!word.is_busy());
        }
        assert_eq!(Word::ABSENT.state(), PageState::Absent);
    }

    #[test]
    fn a_page_is_claimed_once() {
        let table = PageTable::new(5000);
        assert!(table.get(Gfn(4999)).is_some() && table.get(Gfn(5000)).is_none());
        let old = table.claim(Gfn(4999)).unwrap().ok().unwrap();
        assert!(old == Word::ABSENT && table.claim(Gfn(4999)).unwrap().is_err());
        table.release(Gfn(4999), Word::new(PageState::Secure, Label(0), 7));
        assert_eq!(table.get(Gfn(4999)).unwrap().index(), 7);
        assert_eq!(table.used().map(|(gfn, _)| gfn).collect::<alloc::vec::Vec<_>>(), [Gfn(4999)]);
    }
}
