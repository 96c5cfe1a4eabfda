//! The secure memory of one VM: who may see which page, and every move a page can make.
//!
//! # States and moves
//!
//! | state | who holds the content | moves out of it |
//! |---|---|---|
//! | absent | nobody | [`SecureSpace::zero_in`], [`SecureSpace::fill`] → secure; [`SecureSpace::share`] → shared |
//! | secure | the engine, plaintext in a frame; only the guest reaches it | [`SecureSpace::seal_out`] → sealed; [`SecureSpace::share`] → shared |
//! | sealed | normal memory, ciphertext; the engine keeps a record | [`SecureSpace::open_in`] → secure |
//! | shared | normal memory, plaintext that the guest gave away | [`SecureSpace::unshare`] → secure; [`SecureSpace::withdraw`] → withdrawn |
//! | withdrawn | normal memory, as shared | [`SecureSpace::restore`] → shared; [`SecureSpace::unshare`] |
//!
//! [`SecureSpace::destroy`] leads from every state to absent. Invariants: the plaintext of a secure page is in exactly one
//! frame, and no call writes it to normal memory but [`SecureSpace::share`] with [`Content::Kept`], which the guest asks for;
//! a sealed page opens only from its newest ciphertext, at its own page number, in its own VM.
//!
//! Every move claims the page's word first, so two threads never work on one page; the one that comes second gets
//! [`SpaceError::Busy`]. A move also waits for the guest accesses at work on the page: when it has returned, none of them
//! touches the frame or the normal page that the page had. One that takes longer than a page's access can take gives the mover
//! [`SpaceError::Busy`].
//!
//! # Calls out of calls
//! [`NormalMemory`](uv_core::NormalMemory) and the check of [`SecureSpace::fill`] are the user's code, called while pages are
//! claimed. When such code panics, every page of the batch is as before, and no frame is lost. When it calls the same VM again,
//! calls on those pages, and [`SecureSpace::close`], get [`SpaceError::Busy`]; nothing waits for itself.

mod access;
mod claim;
mod paging;
mod sharing;
#[cfg(test)]
mod tests;

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};

use spin::Mutex;
use uv_core::{Gfn, PageCounts, PageRange, PageSize, PageState};

use crate::fault::SpaceError;
use crate::pool::{FrameId, FramePool};
use crate::record::Records;
use crate::seal::{PageSealer, SealRecord};
use crate::table::{Label, PageTable, Word};
use claim::Claim;
pub use sharing::Content;

/// Every page.
const ALL: PageRange = PageRange::new(Gfn(0), u64::MAX);

/// Number of a VM in the engine; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerId(pub u64);

/// The secure memory of one VM. For the ultravisor and, through its virtual CPUs, for the guest: a hypervisor never
/// holds a value of this type.
pub struct SecureSpace {
    owner: OwnerId,
    pool: Arc<FramePool>,
    table: PageTable,
    records: Mutex<Records>,
    sealer: PageSealer,
    /// Number of the next seal: never used twice in this VM.
    version: AtomicU64,
    hand: AtomicU64,
}

impl core::fmt::Debug for SecureSpace {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SecureSpace").field("owner", &self.owner).field("pages", &self.table.limit()).finish()
    }
}

impl SecureSpace {
    pub(crate) fn new(owner: OwnerId, pool: Arc<FramePool>, pages: u64, sealer: PageSealer) -> Self {
        Self {
            owner,
            pool,
            table: PageTable::new(pages),
            records: Mutex::new(Records::new()),
            sealer,
            version: AtomicU64::new(0),
            hand: AtomicU64::new(0),
        }
    }

    /// Whose memory this is.
    #[must_use]
    pub const fn owner(&self) -> OwnerId {
        self.owner
    }

    /// The page size of every operation.
    #[must_use]
    pub fn page_size(&self) -> PageSize {
        self.pool.page_size()
    }

    /// Pages 0 .. this number exist.
    #[must_use]
    pub fn pages(&self) -> u64 {
        self.table.limit()
    }

    /// The state of a page.
    ///
    /// # Errors
    /// [`SpaceError::OutOfRange`].
    pub fn state(&self, gfn: Gfn) -> Result<PageState, SpaceError> {
        self.table.get(gfn).map(Word::state).ok_or(SpaceError::OutOfRange(gfn))
    }

    /// The label of a page; 0 for an absent one.
    ///
    /// # Errors
    /// [`SpaceError::OutOfRange`].
    pub fn label(&self, gfn: Gfn) -> Result<Label, SpaceError> {
        self.table.get(gfn).map(Word::label).ok_or(SpaceError::OutOfRange(gfn))
    }

    /// Puts a label on a page that is not absent.
    ///
    /// # Errors
    /// [`SpaceError::State`] for an absent page; [`SpaceError::Busy`], [`SpaceError::OutOfRange`], [`SpaceError::Closed`].
    pub fn set_label(&self, gfn: Gfn, label: Label) -> Result<(), SpaceError> {
        let claim = self.claim(gfn)?;
        if claim.old().state() == PageState::Absent {
            return Err(claim.wrong_state());
        }
        claim.commit_word(claim.old().with_label(label));
        Ok(())
    }

    /// How many pages stand in each state. Walks the table; pages in motion count where they came from.
    #[must_use]
    pub fn counts(&self) -> PageCounts {
        let mut counts = PageCounts::default();
        self.table.used(ALL).for_each(|(_, word)| counts.add(word.state()));
        counts
    }

    /// Every page that is not absent, in order, with its state. A snapshot of a table that others may be changing.
    pub fn used(&self) -> impl Iterator<Item = (Gfn, PageState)> {
        self.used_in(ALL)
    }

    /// [`SecureSpace::used`] for the pages of a range: looks at no other page, so a long walk can be cut into parts.
    pub fn used_in(&self, range: PageRange) -> impl Iterator<Item = (Gfn, PageState)> {
        self.table.used(range).map(|(gfn, word)| (gfn, word.state())).filter(|(_, state)| *state != PageState::Absent)
    }

    /// A secure page that the guest has not used for a while: the clock goes round over all secure pages and spares
    /// those used since it last passed. `None` when no page is secure, or the guest used them all while the clock went round.
    pub fn cold_page(&self) -> Option<Gfn> {
        let hand = Gfn(self.hand.load(Ordering::Relaxed));
        // From the hand to the end, then once round. The clock takes the marks of the pages that it passes, so a page before
        // the hand that is marked is found no earlier than at the second time it is passed.
        let found = [hand, Gfn(0), Gfn(0)].into_iter().find_map(|from| self.table.cold(from))?;
        self.hand.store(found.0 + 1, Ordering::Relaxed);
        Some(found)
    }

    /// What proves the newest sealed version of a page; `None` when it is not sealed.
    #[must_use]
    pub fn seal_record(&self, gfn: Gfn) -> Option<SealRecord> {
        let word = self.table.get(gfn).filter(|word| word.state() == PageState::Sealed)?;
        self.records.lock().get(word.index())
    }

    /// The sealer, for an ultravisor whose machine hands sealing keys out under its own rules (a dump encrypted for the
    /// guest's owner).
    #[must_use]
    pub const fn sealer(&self) -> &PageSealer {
        &self.sealer
    }

    /// Makes the page absent, whatever it is: content wiped, record forgotten.
    ///
    /// # Errors
    /// [`SpaceError::Busy`], [`SpaceError::OutOfRange`], [`SpaceError::Closed`].
    pub fn destroy(&self, gfn: Gfn) -> Result<(), SpaceError> {
        let claim = self.claim(gfn)?;
        self.drop_content(claim.old());
        claim.commit_word(Word::ABSENT);
        Ok(())
    }

    /// Ends the VM: wipes every frame, forgets every record. Every later call gets [`SpaceError::Closed`]. When it has
    /// returned with success, no call and no guest access is at work on a page. Ending twice is allowed.
    ///
    /// # Errors
    /// [`SpaceError::Busy`] with the first page that is in a call's or an access' hands for longer than both take: the page is as
    /// that call leaves it, all others are gone. Calling again ends the rest. A call that is made out of
    /// [`NormalMemory`](uv_core::NormalMemory) gets this for the page that is moved.
    pub fn close(&self) -> Result<(), SpaceError> {
        let mut wiped = 0_u64;
        let ended = self.table.close(|word| {
            wiped += u64::from(word.state() == PageState::Secure);
            self.drop_content(word);
        });
        tracing::debug!(owner = self.owner.0, wiped, ended = ended.is_ok(), "secure memory of the VM ended");
        ended.map_err(SpaceError::Busy)
    }

    /// Whether [`SecureSpace::close`] was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.table.is_closed()
    }

    /// Wipes or forgets what a page's word stands for. The caller holds the claim.
    fn drop_content(&self, word: Word) {
        match word.state() {
            PageState::Secure => self.pool.wipe(FrameId(word.index())),
            PageState::Sealed => {
                self.records.lock().remove(word.index());
            }
            _ => {}
        }
    }

    fn claim(&self, gfn: Gfn) -> Result<Claim<'_>, SpaceError> {
        Claim::new(self, gfn)
    }
}

impl Drop for SecureSpace {
    fn drop(&mut self) {
        // Nobody else is left who could hold a page.
        let closed = self.close();
        debug_assert_eq!(closed, Ok(()));
    }
}
