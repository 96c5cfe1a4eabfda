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
/// between threads; an access of one page is not torn by another access of the same page, if the memory can promise that. It is the
/// caller's: a buffer of its own, a mapping that it shares with another process, or with the feature `vm-memory` the memory of
/// a VMM on rust-vmm (`VmMemory`).
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

#[cfg(test)]
mod tests {
    use alloc::sync::Arc;

    use super::*;

    /// Four bytes at address 0 that answer with their address.
    struct Four;

    impl NormalMemory for Four {
        fn read(&self, at: HostAddr, into: &mut [u8]) -> Result<(), AccessError> {
            self.check(at, into.len() as u64)?;
            into.iter_mut().zip(at.0..).for_each(|(byte, at)| *byte = at.to_le_bytes()[0]);
            Ok(())
        }

        fn write(&self, at: HostAddr, from: &[u8]) -> Result<(), AccessError> {
            self.check(at, from.len() as u64)
        }

        fn check(&self, at: HostAddr, len: u64) -> Result<(), AccessError> {
            if at.0 + len <= 4 { Ok(()) } else { Err(AccessError::Unmapped { at, len: 1 }) }
        }
    }

    fn is_four(memory: &dyn NormalMemory) {
        let beyond = Err(AccessError::Unmapped { at: HostAddr(3), len: 1 });
        let mut bytes = [0; 3];
        assert_eq!((memory.read(HostAddr(1), &mut bytes), bytes), (Ok(()), [1, 2, 3]));
        assert_eq!(memory.read(HostAddr(3), &mut bytes), beyond);
        assert_eq!((memory.write(HostAddr(3), &[1]), memory.write(HostAddr(3), &bytes)), (Ok(()), beyond));
        assert_eq!((memory.check(HostAddr(3), 1), memory.check(HostAddr(3), 2)), (Ok(()), beyond));
    }

    #[test]
    fn memory_answers_through_references_too() {
        is_four(&&Four);
        is_four(&Arc::new(Four));
    }
}
