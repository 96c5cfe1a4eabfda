//! The page table of one VM: an atomic word for each page.
//!
//! # Who may do what to a page
//! A **claim** sets the busy bit: its holder alone moves the page, until it releases the word. A guest access to a shared page
//! is counted in the word while it touches normal memory; a claim is given only when no access is counted, and while a page
//! is claimed none begins. So a move that was made is seen by every access after it, and no access outlives it. A guest
//! access to a secure page counts nothing: it holds the frame's lock and looks at the word under it.
//!
//! **Closing** takes the word of every page of a touched leaf, absent pages too, and puts an empty leaf where there was none:
//! a claim comes before that and is waited for, or after it and sees that the VM is closed. All of this goes through one
//! word (or one leaf), so acquire and release order are enough.
//!
//! Nobody waits without end. A claim that finds the page claimed is refused at once; one that finds accesses at work looks
//! for a while and is refused then, and so is closing.
//!
//! # What a page costs
//! A leaf of 4096 pages appears when one of its pages is first touched.
//!
//! | page | table | beside it |
//! |---|---|---|
//! | absent, in a leaf that was never touched | 0 bytes (24 bytes for all 4096) | nothing |
//! | absent, in a touched leaf | 8 bytes | nothing |
//! | secure | 8 bytes | its frame (4 or 64 KiB) and 8 bytes of lock |
//! | sealed | 8 bytes | a seal record of 24 bytes |
//! | shared, withdrawn | 8 bytes | nothing |
//!
//! A 1 TiB guest of 4 KiB pages therefore starts at 1.5 MiB of root and ends at 2 GiB of words when every page was touched.

mod word;

use alloc::boxed::Box;
use core::sync::atomic::Ordering;

use uv_core::{Gfn, PageRange, PageState};

use crate::sync::{AtomicBool, AtomicU64, Once, PATIENCE, spin_loop};
pub use word::Label;
pub(crate) use word::Word;

/// Pages in a leaf.
const LEAF: usize = 4096;
const LEAF_PAGES: u64 = LEAF as u64;

type Leaf = Box<[AtomicU64]>;

/// Why a page was not claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimError {
    /// The page number is past the limit.
    OutOfRange,
    /// Somebody holds the page, or guest accesses are at work on it.
    Busy,
    /// The table is closed.
    Closed,
}

/// Two levels of words for page numbers 0 .. limit.
pub(crate) struct PageTable {
    root: Box<[Once<Leaf>]>,
    limit: u64,
    closed: AtomicBool,
}

/// The place of a page: leaf, and word inside it.
fn split(gfn: Gfn) -> Option<(usize, usize)> {
    Some((usize::try_from(gfn.0 / LEAF_PAGES).ok()?, usize::try_from(gfn.0 % LEAF_PAGES).ok()?))
}

impl PageTable {
    /// A table for pages 0 .. `limit`. Costs 24 bytes for each 4096 pages at once.
    pub(crate) fn new(limit: u64) -> Self {
        let leaves = usize::try_from(limit.div_ceil(LEAF_PAGES)).expect("the table root fits the address space");
        Self { root: (0..leaves).map(|_| Once::new()).collect(), limit, closed: AtomicBool::new(false) }
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// The word of a page whose leaf is there.
    fn find(&self, gfn: Gfn) -> Option<&AtomicU64> {
        let (leaf, index) = split(gfn).filter(|_| gfn.0 < self.limit)?;
        self.root[leaf].get()?.get(index)
    }

    /// The word of a page below the limit; its leaf is made. `None` when the table was closed before the leaf was made.
    fn find_or_make(&self, gfn: Gfn) -> Option<&AtomicU64> {
        let (leaf, index) = split(gfn)?;
        let pages = LEAF_PAGES.min(self.limit - (gfn.0 - gfn.0 % LEAF_PAGES));
        self.root[leaf].call_once(|| (0..pages).map(|_| AtomicU64::new(0)).collect()).get(index)
    }

    /// The word of a page; `None` past the limit. Makes no leaf.
    pub(crate) fn get(&self, gfn: Gfn) -> Option<Word> {
        (gfn.0 < self.limit).then(|| self.find(gfn).map_or(Word::ABSENT, |word| Word(word.load(Ordering::Acquire))))
    }

    /// Makes the page the caller's, until [`PageTable::release`], and gives the word it had.
    pub(crate) fn claim(&self, gfn: Gfn) -> Result<Word, ClaimError> {
        if gfn.0 >= self.limit {
            return Err(ClaimError::OutOfRange);
        }
        let word = self.find_or_make(gfn).ok_or(ClaimError::Closed)?;
        let old = mark(word).and_then(|old| await_accesses(word, old, &mut { PATIENCE })).ok_or(ClaimError::Busy)?;
        // Only now: closing takes every word after it has said so, this one included.
        if self.is_closed() {
            word.store(old.0, Ordering::Release);
            return Err(ClaimError::Closed);
        }
        Ok(old)
    }

    /// Ends a claim with a new word. The mark of use starts anew.
    pub(crate) fn release(&self, gfn: Gfn, new: Word) {
        debug_assert!(!new.is_busy() && !new.is_accessed());
        if let Some(word) = self.find(gfn) {
            word.store(new.0, Ordering::Release);
        }
    }

    /// Begins a guest access to a shared page and gives its word: nobody moves the page before [`PageTable::leave`]. `None`
    /// when the page is not shared (any more), is claimed, or too many accesses are at work.
    pub(crate) fn enter(&self, gfn: Gfn) -> Option<Word> {
        let word = self.find(gfn)?;
        let begin = |now: u64| Word(now).accessed().map(|more| more.0);
        word.fetch_update(Ordering::Acquire, Ordering::Acquire, begin).ok().map(Word)
    }

    /// Ends a guest access that [`PageTable::enter`] began.
    pub(crate) fn leave(&self, gfn: Gfn) {
        if let Some(word) = self.find(gfn) {
            word.fetch_sub(Word::ACCESS, Ordering::Release);
        }
    }

    /// Closes the table: every page is taken, shown to `last` with the word it had, and becomes absent; claims are refused
    /// from now on. A page that is somebody else's for longer stays as it is: its number comes back, and closing again goes
    /// on.
    pub(crate) fn close(&self, mut last: impl FnMut(Word)) -> Result<(), Gfn> {
        self.closed.store(true, Ordering::Release);
        let mut held = None;
        let mut patience = PATIENCE;
        for (first, leaf) in (0..).step_by(LEAF).zip(&self.root) {
            for (gfn, word) in (first..).zip(leaf.call_once(Box::default)) {
                match take(word, &mut patience) {
                    Some(old) => {
                        last(old);
                        word.store(0, Ordering::Release);
                    }
                    None => held = held.or(Some(Gfn(gfn))),
                }
            }
        }
        held.map_or(Ok(()), Err)
    }

    /// Notes that the guest used a page, if it is secure and nobody moves it; its word was `seen`. A word that changed
    /// meanwhile is left alone.
    pub(crate) fn reference(&self, gfn: Gfn, seen: Word) {
        if seen.state() == PageState::Secure
            && !seen.is_busy()
            && !seen.is_used()
            && let Some(word) = self.find(gfn)
        {
            let _ = word.compare_exchange(seen.0, seen.with_used(true).0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// The first secure page from `from` on that was not used since the clock last passed; takes the mark from those
    /// it passes. `None` at the end of the table.
    pub(crate) fn cold(&self, from: Gfn) -> Option<Gfn> {
        self.words(PageRange::new(from, u64::MAX)).find_map(|(gfn, word)| {
            let seen = Word(word.load(Ordering::Acquire));
            if seen.state() != PageState::Secure || seen.is_busy() {
                return None;
            }
            if !seen.is_used() {
                return Some(gfn);
            }
            let _ = word.compare_exchange(seen.0, seen.with_used(false).0, Ordering::Relaxed, Ordering::Relaxed);
            None
        })
    }

    /// Every page of the range in a touched leaf whose word is not 0, in order.
    pub(crate) fn used(&self, range: PageRange) -> impl Iterator<Item = (Gfn, Word)> {
        self.words(range).filter_map(|(gfn, word)| {
            let word = Word(word.load(Ordering::Acquire));
            (word.0 != 0).then_some((gfn, word))
        })
    }

    /// The words of a range's pages in touched leaves, in order.
    fn words(&self, range: PageRange) -> impl Iterator<Item = (Gfn, &AtomicU64)> {
        let end = range.first.0.saturating_add(range.count).min(self.limit);
        let start = range.first.0.min(end);
        let leaves = (start - start % LEAF_PAGES..end).step_by(LEAF);
        leaves.filter_map(|first| Some((first, self.root[split(Gfn(first))?.0].get()?))).flat_map(
            move |(first, words)| {
                let skip = start.saturating_sub(first);
                let pages = (first + skip..end).map(Gfn);
                pages.zip(words.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX)))
            },
        )
    }
}

/// Makes a word busy and gives what it was; `None` when it is busy already.
fn mark(word: &AtomicU64) -> Option<Word> {
    let busy = |now: u64| (!Word(now).is_busy()).then_some(now | Word::BUSY);
    word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, busy).ok().map(Word)
}

/// Waits until no guest access is at work on a page that [`mark`] made busy, and gives its word then. `None`, and the page
/// is not busy any more, when they do not end.
fn await_accesses(word: &AtomicU64, old: Word, patience: &mut u32) -> Option<Word> {
    if !old.is_accessed() {
        return Some(old);
    }
    // No access begins from here on.
    loop {
        let now = Word(word.load(Ordering::Acquire)).free();
        if !now.is_accessed() {
            return Some(now);
        }
        if !wait(patience) {
            word.fetch_and(!Word::BUSY, Ordering::Release);
            return None;
        }
    }
}

/// [`mark`] and [`await_accesses`], waiting for whoever has the page too.
fn take(word: &AtomicU64, patience: &mut u32) -> Option<Word> {
    loop {
        if let Some(old) = mark(word) {
            return await_accesses(word, old, patience);
        }
        if !wait(patience) {
            return None;
        }
    }
}

/// Lets a moment pass; `false` when none is left.
fn wait(patience: &mut u32) -> bool {
    spin_loop();
    *patience = patience.saturating_sub(1);
    *patience > 0
}
