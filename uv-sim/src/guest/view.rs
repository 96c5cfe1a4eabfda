//! Guest memory as a virtual CPU reaches it, before and after the VM became secure.

use uv_core::{Access, GuestAddr, HostAddr, MemSlots, NormalMemory};

use crate::fault::GuestFault;
use crate::space::SecureSpace;

/// Guest memory.
pub trait GuestMemory {
    /// Reads guest memory.
    ///
    /// # Errors
    /// [`GuestFault`]; the access is to be repeated as a whole.
    fn load(&self, at: GuestAddr, into: &mut [u8], access: Access) -> Result<(), GuestFault>;

    /// Writes guest memory.
    ///
    /// # Errors
    /// [`GuestFault`]; the access is to be repeated as a whole.
    fn store(&self, at: GuestAddr, from: &[u8]) -> Result<(), GuestFault>;
}

/// The memory of a secure VM, seen from inside.
#[derive(Clone, Copy)]
pub struct SecureView<'a> {
    /// The VM's secure memory.
    pub space: &'a SecureSpace,
    /// The normal memory that shared pages lie in.
    pub memory: &'a dyn NormalMemory,
}

impl core::fmt::Debug for SecureView<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SecureView").field("space", &self.space).finish_non_exhaustive()
    }
}

impl GuestMemory for SecureView<'_> {
    fn load(&self, at: GuestAddr, into: &mut [u8], access: Access) -> Result<(), GuestFault> {
        self.space.guest_read(self.memory, at, into, access)
    }

    fn store(&self, at: GuestAddr, from: &[u8]) -> Result<(), GuestFault> {
        self.space.guest_write(self.memory, at, from)
    }
}

/// The memory of an ordinary VM: its memory slots.
#[derive(Clone, Copy)]
pub struct NormalView<'a> {
    /// The VM's memory slots.
    pub slots: &'a MemSlots,
    /// The memory they lie in.
    pub memory: &'a dyn NormalMemory,
}

impl core::fmt::Debug for NormalView<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("NormalView").field("slots", &self.slots).finish_non_exhaustive()
    }
}

impl NormalView<'_> {
    /// Calls `act` with the place of each page that `len` bytes at `at` touch, and the caller's range for it.
    fn each(
        &self,
        at: GuestAddr,
        len: usize,
        mut act: impl FnMut(HostAddr, core::ops::Range<usize>) -> Result<(), uv_core::AccessError>,
    ) -> Result<(), GuestFault> {
        let size = self.slots.page_size();
        let mut done = 0;
        while done < len {
            let addr = GuestAddr(at.0.saturating_add(done as u64));
            let gfn = size.gfn(addr);
            let left = usize::try_from(size.size() - size.offset(addr.0)).unwrap_or(1);
            let take = left.min(len - done);
            let host = self.slots.host_addr(addr).ok_or(GuestFault::OutOfRange(gfn))?;
            act(host, done..done + take).map_err(|error| GuestFault::Memory { gfn, error })?;
            done += take;
        }
        Ok(())
    }
}

impl GuestMemory for NormalView<'_> {
    fn load(&self, at: GuestAddr, into: &mut [u8], _: Access) -> Result<(), GuestFault> {
        self.each(at, into.len(), |host, range| self.memory.read(host, &mut into[range]))
    }

    fn store(&self, at: GuestAddr, from: &[u8]) -> Result<(), GuestFault> {
        self.each(at, from.len(), |host, range| self.memory.write(host, &from[range]))
    }
}
