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

    /// Lets `act` read `count` pages of `page_bytes` from `at` on where they lie, if nobody can change them meanwhile. `false`,
    /// and `act` was not called, where that cannot be: the caller takes [`NormalMemory::read`] then.
    fn pages(&self, at: HostAddr, page_bytes: usize, count: usize, act: &mut dyn FnMut(&[&[u8]])) -> bool {
        let _ = (at, page_bytes, count, act);
        false
    }

    /// Lets `act` write whole pages where they lie; nobody sees them in the middle of it. `false` as with
    /// [`NormalMemory::pages`], with [`NormalMemory::write`] to take its place.
    fn pages_mut(&self, at: HostAddr, page_bytes: usize, count: usize, act: &mut dyn FnMut(&mut [&mut [u8]])) -> bool {
        let _ = (at, page_bytes, count, act);
        false
    }
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

    fn pages(&self, at: HostAddr, page_bytes: usize, count: usize, act: &mut dyn FnMut(&[&[u8]])) -> bool {
        (**self).pages(at, page_bytes, count, act)
    }

    fn pages_mut(&self, at: HostAddr, page_bytes: usize, count: usize, act: &mut dyn FnMut(&mut [&mut [u8]])) -> bool {
        (**self).pages_mut(at, page_bytes, count, act)
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

    fn pages(&self, at: HostAddr, page_bytes: usize, count: usize, act: &mut dyn FnMut(&[&[u8]])) -> bool {
        (**self).pages(at, page_bytes, count, act)
    }

    fn pages_mut(&self, at: HostAddr, page_bytes: usize, count: usize, act: &mut dyn FnMut(&mut [&mut [u8]])) -> bool {
        (**self).pages_mut(at, page_bytes, count, act)
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

        fn pages(&self, at: HostAddr, page_bytes: usize, count: usize, act: &mut dyn FnMut(&[&[u8]])) -> bool {
            let page = [at.0.to_le_bytes()[0], 7][..page_bytes].to_vec();
            act(&alloc::vec![page.as_slice(); count]);
            true
        }

        fn pages_mut(&self, _: HostAddr, bytes: usize, _: usize, act: &mut dyn FnMut(&mut [&mut [u8]])) -> bool {
            act(&mut [&mut alloc::vec![0; bytes]]);
            true
        }
    }

    /// What has to be there and nothing else.
    struct Least;

    impl NormalMemory for Least {
        fn read(&self, _: HostAddr, _: &mut [u8]) -> Result<(), AccessError> {
            Ok(())
        }

        fn write(&self, _: HostAddr, _: &[u8]) -> Result<(), AccessError> {
            Ok(())
        }

        fn check(&self, _: HostAddr, _: u64) -> Result<(), AccessError> {
            Ok(())
        }
    }

    #[test]
    fn memory_need_not_show_pages_where_they_lie() {
        assert!(!Least.pages(HostAddr(0), 1, 1, &mut |_| unreachable!()));
        assert!(!Least.pages_mut(HostAddr(0), 1, 1, &mut |_| unreachable!()));
    }

    fn is_four(memory: &dyn NormalMemory) {
        let beyond = Err(AccessError::Unmapped { at: HostAddr(3), len: 1 });
        let mut bytes = [0; 3];
        assert_eq!((memory.read(HostAddr(1), &mut bytes), bytes), (Ok(()), [1, 2, 3]));
        assert_eq!(memory.read(HostAddr(3), &mut bytes), beyond);
        assert_eq!((memory.write(HostAddr(3), &[1]), memory.write(HostAddr(3), &bytes)), (Ok(()), beyond));
        assert_eq!((memory.check(HostAddr(3), 1), memory.check(HostAddr(3), 2)), (Ok(()), beyond));
        let (mut seen, mut lengths) = (alloc::vec::Vec::new(), (0, 0));
        assert!(memory.pages(HostAddr(2), 2, 3, &mut |pages| seen.extend(pages.concat())));
        assert!(memory.pages_mut(HostAddr(2), 2, 3, &mut |pages| lengths = (pages.len(), pages[0].len())));
        assert_eq!((seen.as_slice(), lengths), ([2, 7, 2, 7, 2, 7].as_slice(), (1, 2)));
    }

    #[test]
    fn memory_answers_through_references_too() {
        is_four(&&Four);
        is_four(&Arc::new(Four));
    }
}
