//! The guest's own accesses, made by its virtual CPUs.

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
                    memory.read(host(page, offset), piece).map_err(|error| GuestFault::Memory { gfn, error })?;
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
                    memory.write(host(page, offset), piece).map_err(|error| GuestFault::Memory { gfn, error })?;
                }
            }
        }
        Ok(())
    }

    /// Lets `act` see the frame of a page. Between looking at the word and locking the frame the page may have moved
    /// and the frame may serve another page, so the word is looked at again under the lock: nobody takes the frame while
    /// it is held.
    fn in_frame(&self, gfn: Gfn, word: Word, act: impl FnOnce(&mut [u8])) -> Result<(), GuestFault> {
        let done = self.pool.with(FrameId(word.index()), |bytes| {
            let same = self.table.get(gfn).is_some_and(|now| now.same_place(word));
            if same {
                act(bytes);
            }
            same
        });
        if done == Some(true) { Ok(()) } else { Err(GuestFault::Busy(gfn)) }
    }

    fn locate(&self, gfn: Gfn, access: Access) -> Result<Place, GuestFault> {
        if self.is_closed() {
            return Err(GuestFault::Closed);
        }
        let word = self.table.get(gfn).ok_or(GuestFault::OutOfRange(gfn))?;
        if word.is_busy() {
            return Err(GuestFault::Busy(gfn));
        }
        match word.state() {
            PageState::Secure => {
                self.table.reference(gfn);
                Ok(Place::Frame(word))
            }
            PageState::Shared => Ok(Place::Normal(self.host_page(word.payload()))),
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
enum Place {
    Frame(Word),
    Normal(HostAddr),
}

fn host(page: HostAddr, offset: usize) -> HostAddr {
    HostAddr(page.0.saturating_add(offset as u64))
}
