//! The hypervisor's normal memory as a buffer of our own.

use alloc::boxed::Box;

use spin::{Once, RwLock};
use uv_core::{AccessError, HostAddr, NormalMemory};

/// Bytes handed out at once; also the unit of locking.
const CHUNK: usize = 1 << 16;

type Chunk = RwLock<Box<[u8]>>;

/// Normal memory from address 0 on, zero at first. Memory is taken from the heap when a 64 KiB chunk is first
/// written, so a large and mostly empty machine costs 32 bytes a chunk.
///
/// One access inside a chunk is not torn by another one.
pub struct HostMemory {
    chunks: Box<[Once<Chunk>]>,
    size: u64,
}

impl core::fmt::Debug for HostMemory {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("HostMemory").field("size", &self.size).finish_non_exhaustive()
    }
}

impl HostMemory {
    /// Memory of `size` bytes.
    ///
    /// # Panics
    /// When the heap cannot hold the chunk table, 32 bytes for each 64 KiB.
    #[must_use]
    pub fn new(size: u64) -> Self {
        let count = usize::try_from(size.div_ceil(CHUNK as u64)).expect("the chunk table fits the address space");
        Self { chunks: (0..count).map(|_| Once::new()).collect(), size }
    }

    /// Size in bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Splits an access into its chunks: chunk number, offset inside, range of the caller's buffer.
    fn pieces(at: HostAddr, len: usize) -> impl Iterator<Item = (usize, usize, core::ops::Range<usize>)> {
        let start = usize::try_from(at.0).unwrap_or(usize::MAX);
        let mut done = 0;
        core::iter::from_fn(move || {
            let offset = (start + done) % CHUNK;
            let take = (CHUNK - offset).min(len - done);
            let piece = ((start + done) / CHUNK, offset, done..done + take);
            done += take;
            (take > 0).then_some(piece)
        })
    }
}

impl NormalMemory for HostMemory {
    fn read(&self, at: HostAddr, into: &mut [u8]) -> Result<(), AccessError> {
        self.check(at, into.len() as u64)?;
        for (chunk, offset, range) in Self::pieces(at, into.len()) {
            let len = range.len();
            match self.chunks[chunk].get() {
                Some(bytes) => into[range].copy_from_slice(&bytes.read()[offset..offset + len]),
                None => into[range].fill(0),
            }
        }
        Ok(())
    }

    fn write(&self, at: HostAddr, from: &[u8]) -> Result<(), AccessError> {
        self.check(at, from.len() as u64)?;
        for (chunk, offset, range) in Self::pieces(at, from.len()) {
            let len = range.len();
            let bytes = self.chunks[chunk].call_once(|| RwLock::new(alloc::vec![0; CHUNK].into_boxed_slice()));
            bytes.write()[offset..offset + len].copy_from_slice(&from[range]);
        }
        Ok(())
    }

    fn check(&self, at: HostAddr, len: u64) -> Result<(), AccessError> {
        match at.0.checked_add(len) {
            Some(end) if end <= self.size => Ok(()),
            _ => Err(AccessError::Unmapped { at, len: usize::try_from(len).unwrap_or(usize::MAX) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_cross_chunks_and_untouched_memory_is_zero() {
        let memory = HostMemory::new(3 * CHUNK as u64);
        let at = HostAddr(CHUNK as u64 - 3);
        memory.write(at, &[1, 2, 3, 4, 5, 6]).unwrap();
        let mut back = [9; 8];
        memory.read(HostAddr(at.0 - 1), &mut back).unwrap();
        assert_eq!(back, [0, 1, 2, 3, 4, 5, 6, 0]);
        memory.read(HostAddr(2 * CHUNK as u64), &mut back).unwrap();
        assert_eq!(back, [0; 8]);
    }

    #[test]
    fn outside_is_unmapped() {
        let memory = HostMemory::new(0x1001);
        assert!(memory.write(HostAddr(0x1000), &[1]).is_ok());
        let beyond = AccessError::Unmapped { at: HostAddr(0x1000), len: 2 };
        assert_eq!(memory.write(HostAddr(0x1000), &[1, 2]), Err(beyond));
        assert_eq!(
            memory.read(HostAddr(u64::MAX), &mut [0; 2]),
            Err(AccessError::Unmapped { at: HostAddr(u64::MAX), len: 2 })
        );
    }
}
