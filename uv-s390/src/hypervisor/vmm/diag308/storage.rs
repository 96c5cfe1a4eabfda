//! Where the IPIB of a DIAG 308 lies.

use uv_core::{AccessError, GuestAddr};

use crate::hypervisor::GuestStorage;

/// Where the operand of subcodes 5, 6, 8 and 9 lies.
#[derive(Debug)]
pub enum Operand<'a> {
    /// An ordinary guest: in its storage, at the address in GR r1.
    Guest(GuestStorage<'a>),
    /// A protected guest: in the SIDA from offset 0; the Ultravisor checked the guest's address and moves the bytes.
    Sida(&'a mut [u8]),
}

impl Operand<'_> {
    /// Whether the guest is protected.
    #[must_use]
    pub const fn is_protected(&self) -> bool {
        matches!(self, Self::Sida(_))
    }

    /// Reads `into.len()` bytes from the start of the operand; bytes behind a short SIDA are left.
    pub(super) fn read(&self, address: u64, into: &mut [u8]) -> Result<(), AccessError> {
        match self {
            Self::Guest(storage) => storage.read(GuestAddr(address), into),
            Self::Sida(sida) => {
                let len = into.len().min(sida.len());
                into[..len].copy_from_slice(&sida[..len]);
                Ok(())
            }
        }
    }

    /// Writes `from` to the start of the operand, as much as a short SIDA takes.
    pub(super) fn write(&mut self, address: u64, from: &[u8]) -> Result<(), AccessError> {
        match self {
            Self::Guest(storage) => storage.write(GuestAddr(address), from),
            Self::Sida(sida) => {
                let len = from.len().min(sida.len());
                sida[..len].copy_from_slice(&from[..len]);
                Ok(())
            }
        }
    }
}
