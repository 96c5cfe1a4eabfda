//! The guest's own accesses, made by its virtual CPUs.
//!
//! Who moves a page waits for the accesses at work on it: at a secure page for the frame's lock, at a shared one for the count
//! in the page's word.

use core::ops::Range;

use uv_core::{Access, Gfn, GuestAddr, HostAddr, NormalMemory, PageState};

use super::SecureSpace;
use crate::fault::GuestFault;
use crate::pool::FrameId;
use crate::table::Word;

impl SecureSpace {
    /// Reads guest memory as the guest sees it.
    ///
    /// # Errors
    /// [`GuestFault`] for the first page that cannot be reached; `into` holds what lies before it.
    pub fn guest_read(
        &self,
        memory: &dyn NormalMemory,
        at: GuestAddr,
        into: &mut [u8],
        access: Access,
    ) -> Result<(), GuestFault> {
        for (gfn, offset, range) in self.pieces(at, into.len()) {
            let piece = &mut into[range];
            match self.locate(gfn, access)? {
                Place::Frame(word) => {
                    self.in_frame(gfn, word, |bytes| piece.copy_from_slice(&bytes[offset..offset + piece.len()]))?;
                }
                Place::Normal(page) => {
                    memory.read(page.at(offset), piece).map_err(|error| GuestFault::Memory { gfn, error })?;
                }
            }
        }
        Ok(())
    }

    /// Writes guest memory as the guest does.
    ///
    /// # Errors
    /// [`GuestFault`] for the first page that cannot be reached; pages before it are written.
    pub fn guest_write(&self, memory: &dyn NormalMemory, at: GuestAddr, from: &[u8]) -> Result<(), GuestFault> {
        for (gfn, offset, range) in self.pieces(at, from.len()) {
            let piece = &from[range];
            match self.locate(gfn, Access::Store)? {
                Place::Frame(word) => {
                    self.in_frame(gfn, word, |bytes| bytes[offset..offset + piece.len()].copy_from_slice(piece))?;
                }
                Place::Normal(page) => {
                    memory.write(page.at(offset), piece).map_err(|error| GuestFault::Memory { gfn, error })?;
                }
            }
        }
        Ok(())
    }

    /// Lets `act` see the frame of a page. Between looking at the word and locking the frame the page may have moved
    /// and the frame may serve another page, so the word is looked at again under the lock: nobody takes the frame while
    /// it is held.
    pub(super) fn in_frame(&self, gfn: Gfn, word: Word, act: impl FnOnce(&mut [u8])) -> Result<(), GuestFault> {
        loop {
            let frame = self.pool.try_lock(FrameId(word.index()));
            if !self.table.get(gfn).is_some_and(|now| now.same_place(word)) {
                return Err(GuestFault::Busy(gfn));
            }
            if let Some(mut bytes) = frame {
                act(&mut bytes);
                return Ok(());
            }
            // Another guest access holds it: a mover would have the word.
            core::hint::spin_loop();
        }
    }

    fn locate(&self, gfn: Gfn, access: Access) -> Result<Place<'_>, GuestFault> {
        if self.is_closed() {
            return Err(GuestFault::Closed);
        }
        let word = self.table.get(gfn).ok_or(GuestFault::OutOfRange(gfn))?;
        if word.is_busy() {
            return Err(GuestFault::Busy(gfn));
        }
        match word.state() {
            PageState::Secure => {
                self.table.reference(gfn, word);
                Ok(Place::Frame(word))
            }
            PageState::Shared => {
                let word = self.table.enter(gfn).ok_or(GuestFault::Busy(gfn))?;
                Ok(Place::Normal(NormalPage { space: self, gfn, page: self.host_page(word.payload()) }))
            }
            state => Err(GuestFault::Missing { gfn, state, access }),
        }
    }

    /// Splits an access into its pages: page, offset inside, range of the caller's buffer.
    fn pieces(&self, at: GuestAddr, len: usize) -> impl Iterator<Item = (Gfn, usize, Range<usize>)> + use<> {
        let size = self.page_size();
        let mut done = 0_usize;
        core::iter::from_fn(move || {
            if done == len {
                return None;
            }
            let addr = at.0.saturating_add(done as u64);
            let offset = usize::try_from(size.offset(addr)).unwrap_or(0);
            let take = (size.bytes() - offset).min(len - done);
            let piece = (size.gfn(GuestAddr(addr)), offset, done..done + take);
            done += take;
            Some(piece)
        })
    }
}

/// Where the bytes of a page are.
enum Place<'a> {
    Frame(Word),
    Normal(NormalPage<'a>),
}

/// A guest access to the normal page of a shared page: nobody moves the page before this is dropped.
struct NormalPage<'a> {
    space: &'a SecureSpace,
    gfn: Gfn,
    page: HostAddr,
}

impl NormalPage<'_> {
    fn at(&self, offset: usize) -> HostAddr {
        // Inside a page whose address is aligned.
        HostAddr(self.page.0 | offset as u64)
    }
}

impl Drop for NormalPage<'_> {
    fn drop(&mut self) {
        self.space.table.leave(self.gfn);
    }
}
