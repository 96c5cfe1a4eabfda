//! Guest storage as kernel and VMM reach it.

use alloc::sync::Arc;
use core::fmt;

use uv_core::{AccessError, GuestAddr, HostAddr, MemSlots, NormalMemory};

/// Guest absolute storage of an ordinary guest, as its hypervisor reaches it: the memory slots and the normal memory
/// behind them.
#[derive(Clone)]
pub struct GuestStorage<'a> {
    /// The guest's memory slots, as they were when this was asked for.
    pub slots: Arc<MemSlots>,
    /// The memory they lie in.
    pub memory: &'a dyn NormalMemory,
}

impl fmt::Debug for GuestStorage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuestStorage").field("slots", &self.slots).finish_non_exhaustive()
    }
}

impl GuestStorage<'_> {
    /// Reads guest storage.
    ///
    /// # Errors
    /// [`AccessError`]; `into` may hold the bytes before the failing page.
    pub fn read(&self, at: GuestAddr, into: &mut [u8]) -> Result<(), AccessError> {
        self.pieces(at, into.len(), |host, range| self.memory.read(host, &mut into[range]))
    }

    /// Writes guest storage.
    ///
    /// # Errors
    /// [`AccessError`]; the bytes before the failing page may be written.
    pub fn write(&self, at: GuestAddr, from: &[u8]) -> Result<(), AccessError> {
        self.pieces(at, from.len(), |host, range| self.memory.write(host, &from[range]))
    }

    /// Whether `len` bytes at `at` are guest storage that the hypervisor can reach now.
    ///
    /// # Errors
    /// [`AccessError`] for the first page that is not.
    pub fn check(&self, at: GuestAddr, len: u64) -> Result<(), AccessError> {
        let len = usize::try_from(len).map_err(|_| AccessError::Unmapped { at: HostAddr(at.0), len: usize::MAX })?;
        self.pieces(at, len, |host, range| self.memory.check(host, u64::try_from(range.len()).unwrap_or(u64::MAX)))
    }

    /// Calls `act` for each page that `len` bytes at `at` touch. An address in no slot is unmapped; the error then names
    /// the guest address, for there is no other.
    fn pieces(
        &self,
        at: GuestAddr,
        len: usize,
        mut act: impl FnMut(HostAddr, core::ops::Range<usize>) -> Result<(), AccessError>,
    ) -> Result<(), AccessError> {
        let page = self.slots.page_size();
        let mut done = 0;
        while done < len {
            let unmapped = AccessError::Unmapped { at: HostAddr(at.0), len };
            let here = u64::try_from(done).ok().and_then(|done| at.checked_add(done)).ok_or(unmapped)?;
            let host = self.slots.host_addr(here).ok_or(unmapped)?;
            let left = usize::try_from(page.size() - page.offset(here.0)).unwrap_or(1);
            let take = left.min(len - done);
            act(host, done..done + take)?;
            done += take;
        }
        Ok(())
    }
}
