//! The hypervisor's normal memory, as seen by whoever moves pages.

use crate::HostAddr;

/// Why an access to normal memory did not happen. Nothing was read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// There is no memory in the range.
    #[error("no normal memory at {at}, {len} bytes")]
    Unmapped {
        /// First byte of the access.
        at: HostAddr,
        /// Length of the access in bytes.
        len: usize,
    },
    /// The memory belongs to the ultravisor or to a secure VM (IBM Z: secure storage access, program interruption
    /// 0x3d; POWER: no mapping).
    #[error("normal access to secure memory at {at}")]
    Secure {
        /// First byte of the page that is secure.
        at: HostAddr,
    },
}

/// Byte access to the hypervisor's normal memory.
///
/// Who calls: the hypervisor for its own accesses, the ultravisor for moving pages. Implementations are shared
/// between threads; an access of one page is not torn by another access of the same page. Own buffers implement it
/// today; a `vm-memory` `GuestMemory` fits behind the same three methods.
pub trait NormalMemory: Send + Sync {
    /// Copies `into.len()` bytes at `at` out of normal memory.
    ///
    /// # Errors
    /// [`AccessError`]; `into` is unchanged or holds only bytes that were readable.
    fn read(&self, at: HostAddr, into: &mut [u8]) -> Result<(), AccessError>;

    /// Copies `from` into normal memory at `at`.
    ///
    /// # Errors
    /// [`AccessError`]; nothing was written.
    fn write(&self, at: HostAddr, from: &[u8]) -> Result<(), AccessError>;

    /// Whether `len` bytes at `at` can be read and written now.
    ///
    /// # Errors
    /// The [`AccessError`] that [`NormalMemory::read`] would give.
    fn check(&self, at: HostAddr, len: u64) -> Result<(), AccessError>;
}

impl<M: NormalMemory + ?Sized> NormalMemory for &M {
    fn read(&self, at: HostAddr, into: &mut [u8]) -> Result<(), AccessError> {
        (**self).read(at, into)
    }

    fn write(&self, at: HostAddr, from: &[u8]) -> Result<(), AccessError> {
        (**self).write(at, from)
    }

    fn check(&self, at: HostAddr, len: u64) -> Result<(), AccessError> {
        (**self).check(at, len)
    }
}

impl<M: NormalMemory + ?Sized> NormalMemory for alloc::sync::Arc<M> {
    fn read(&self, at: HostAddr, into: &mut [u8]) -> Result<(), AccessError> {
        (**self).read(at, into)
    }

    fn write(&self, at: HostAddr, from: &[u8]) -> Result<(), AccessError> {
        (**self).write(at, from)
    }

    fn check(&self, at: HostAddr, len: u64) -> Result<(), AccessError> {
        (**self).check(at, len)
    }
}
