//! Guest memory of a secure VM as its virtual CPUs reach it, devices included.

use core::cell::Cell;

use uv_core::{Access, Gfn, GuestAddr, NormalMemory, PageSize, PageState};
use uv_sim::GuestFault;
use uv_sim::guest::{GuestMemory, NormalView};

use crate::sim::svm::Svm;

/// A device access that the ultravisor had emulated: the guest's instruction finds it when it is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Emulated {
    /// The value a load gets.
    Loaded { at: GuestAddr, value: u64 },
    /// The store was made.
    Stored { at: GuestAddr },
}

/// The access that was made last: what a fault is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastAccess {
    pub(crate) at: GuestAddr,
    pub(crate) len: usize,
    /// What a store of at most 8 bytes would store.
    pub(crate) value: u64,
}

pub(crate) struct SvmView<'a> {
    pub(crate) svm: &'a Svm,
    pub(crate) memory: &'a dyn NormalMemory,
    pub(crate) emulated: &'a Cell<Option<Emulated>>,
    pub(crate) last: &'a Cell<Option<LastAccess>>,
}

/// Guest memory of a VM that is not secure, which notes how it was reached last: what a fault is about.
pub(crate) struct NormalGuest<'a> {
    pub(crate) view: NormalView<'a>,
    pub(crate) last: &'a Cell<Access>,
}

impl GuestMemory for NormalGuest<'_> {
    fn load(&self, at: GuestAddr, into: &mut [u8], access: Access) -> Result<(), GuestFault> {
        self.last.set(access);
        self.view.load(at, into, access)
    }

    fn store(&self, at: GuestAddr, from: &[u8]) -> Result<(), GuestFault> {
        self.last.set(Access::Store);
        self.view.store(at, from)
    }
}

/// The pages that `len` bytes at `at` touch.
fn pages(at: GuestAddr, len: usize) -> impl Iterator<Item = Gfn> {
    let last = at.0.saturating_add((len as u64).saturating_sub(1));
    (PageSize::K64.gfn(at).0..=PageSize::K64.gfn(GuestAddr(last)).0).map(Gfn)
}

/// A number as the last bytes of a register, big endian.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

impl GuestMemory for SvmView<'_> {
    fn load(&self, at: GuestAddr, into: &mut [u8], access: Access) -> Result<(), GuestFault> {
        self.last.set(Some(LastAccess { at, len: into.len(), value: 0 }));
        match self.emulated.get() {
            Some(Emulated::Loaded { at: served, value }) if served == at && into.len() <= 8 => {
                self.emulated.set(None);
                let bytes = value.to_be_bytes();
                into.copy_from_slice(&bytes[8 - into.len()..]);
                Ok(())
            }
            _ => self.svm.space.guest_read(self.memory, at, into, access),
        }
    }

    fn store(&self, at: GuestAddr, from: &[u8]) -> Result<(), GuestFault> {
        self.last.set(Some(LastAccess { at, len: from.len(), value: number(from) }));
        match self.emulated.get() {
            Some(Emulated::Stored { at: served }) if served == at => {
                self.emulated.set(None);
                Ok(())
            }
            _ => {
                for gfn in pages(at, from.len()) {
                    if self.svm.is_write_protected(gfn) {
                        let state = self.svm.space.state(gfn).unwrap_or(PageState::Absent);
                        return Err(GuestFault::Missing { gfn, state, access: Access::Store });
                    }
                }
                self.svm.space.guest_write(self.memory, at, from)
            }
        }
    }
}
