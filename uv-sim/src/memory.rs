//! The hypervisor's normal memory as a buffer of our own.

use alloc::boxed::Box;

use arrayvec::ArrayVec;
use spin::{Once, RwLock};
use uv_core::{AccessError, HostAddr, NormalMemory};
use uv_crypto::BATCH;

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

    /// The chunks of at most a batch of pages that do not cross their borders.
    fn chunks_of(&self, at: HostAddr, page_bytes: usize, count: usize) -> Option<core::ops::Range<usize>> {
        let len = page_bytes.checked_mul(count).filter(|len| *len > 0 && count <= BATCH)?;
        self.check(at, len as u64).ok()?;
        let start = usize::try_from(at.0).ok()?;
        let whole = CHUNK.is_multiple_of(page_bytes) && start.is_multiple_of(page_bytes);
        whole.then(|| start / CHUNK..(start + len).div_ceil(CHUNK))
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
            let bytes = self.chunks[chunk].call_once(fresh);
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

    fn pages(&self, at: HostAddr, page_bytes: usize, count: usize, act: &mut dyn FnMut(&[&[u8]])) -> bool {
        let Some(chunks) = self.chunks_of(at, page_bytes, count) else { return false };
        let first = chunks.start;
        let mut guards = ArrayVec::<_, BATCH>::new();
        for chunk in &self.chunks[chunks] {
            // What was never written is zero and has no bytes that could be shown.
            let Some(bytes) = chunk.get() else { return false };
            guards.push(bytes.read());
        }
        let start = offset(at, first);
        let pages = guards.iter().flat_map(|bytes| bytes.chunks_exact(page_bytes)).skip(start / page_bytes);
        let pages: ArrayVec<&[u8], BATCH> = pages.take(count).collect();
        act(&pages);
        true
    }

    fn pages_mut(&self, at: HostAddr, page_bytes: usize, count: usize, act: &mut dyn FnMut(&mut [&mut [u8]])) -> bool {
        let Some(chunks) = self.chunks_of(at, page_bytes, count) else { return false };
        let first = chunks.start;
        let mut guards = ArrayVec::<_, BATCH>::new();
        // In the order of addresses, as everybody takes them: nobody waits in a circle.
        for chunk in &self.chunks[chunks] {
            guards.push(chunk.call_once(fresh).write());
        }
        let start = offset(at, first);
        let pages = guards.iter_mut().flat_map(|bytes| bytes.chunks_exact_mut(page_bytes)).skip(start / page_bytes);
        let mut pages: ArrayVec<&mut [u8], BATCH> = pages.take(count).collect();
        act(&mut pages);
        true
    }
}

/// A chunk of zeros.
fn fresh() -> Chunk {
    RwLock::new(alloc::vec![0; CHUNK].into_boxed_slice())
}

/// Where an address lies behind the beginning of a chunk.
fn offset(at: HostAddr, chunk: usize) -> usize {
    usize::try_from(at.0).unwrap_or(usize::MAX).saturating_sub(chunk * CHUNK)
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
    fn pages_are_shown_where_they_lie() {
        let memory = HostMemory::new(4 * CHUNK as u64);
        let at = HostAddr(CHUNK as u64 - 0x2000);
        let never = |at, page, count| !memory.pages(at, page, count, &mut |_| unreachable!());
        assert!(never(at, 0x1000, 4), "nothing was written there");
        let mut seen = (0, 0);
        assert!(memory.pages_mut(at, 0x1000, 4, &mut |pages| {
            seen = (pages.len(), pages[0].len());
            pages.iter_mut().zip(1..).for_each(|(page, n)| page.fill(n));
        }));
        assert_eq!(seen, (4, 0x1000));
        let mut back = [0; 0x4000];
        memory.read(at, &mut back).unwrap();
        assert!(back.chunks(0x1000).zip(1..).all(|(page, n)| page.iter().all(|byte| *byte == n)));
        let mut firsts = alloc::vec::Vec::new();
        assert!(memory.pages(HostAddr(at.0 + 0x1000), 0x1000, 2, &mut |pages| {
            firsts.extend(pages.iter().map(|page| (page[0], page.len())));
        }));
        assert_eq!(firsts, [(2, 0x1000), (3, 0x1000)]);
        assert!(never(HostAddr(at.0 + 8), 0x1000, 1) && never(at, 0x3000, 1) && never(at, 0x1000, 0));
        assert!(never(HostAddr(4 * CHUNK as u64), 0x1000, 1) && never(at, 0x1000, 33));
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
