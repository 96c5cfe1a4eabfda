//! Secure frames: a limited number, reused, wiped before anybody else may have them.
//!
//! A frame never leaves its place: whoever works on it holds its lock. A frame number is in one page's word, in one
//! [`Taken`], or free; **a free frame holds zeros**. So whatever ends a call in its middle loses no frame, and no content goes
//! back to the heap.

use alloc::{boxed::Box, vec::Vec};
use core::sync::atomic::{AtomicU64, Ordering};

use arrayvec::ArrayVec;
use spin::{Mutex, MutexGuard, Once};
use uv_core::PageSize;
use uv_crypto::BATCH;

/// Bytes of frames that come from the heap together.
const BLOCK_BYTES: usize = 1 << 16;

/// The number of a frame in the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameId(pub(crate) u32);

/// The bytes of a frame: with its lock 8 bytes more than the page.
#[repr(align(8))]
pub(crate) struct Bytes<T: ?Sized>(T);

/// A frame with its lock held.
pub(crate) type FrameGuard<'a> = MutexGuard<'a, Bytes<[u8]>>;

impl core::ops::Deref for Bytes<[u8]> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl core::ops::DerefMut for Bytes<[u8]> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

type Frames<const N: usize> = Box<[Mutex<Bytes<[u8; N]>>]>;

/// Frames that came from the heap together.
enum Block {
    K4(Frames<0x1000>),
    K64(Frames<0x1_0000>),
}

impl Block {
    fn new(page_size: PageSize) -> Self {
        fn zeros<const N: usize>() -> Frames<N> {
            (0..BLOCK_BYTES / N).map(|_| Mutex::new(Bytes([0; N]))).collect()
        }
        match page_size {
            PageSize::K4 => Self::K4(zeros()),
            PageSize::K64 => Self::K64(zeros()),
        }
    }

    fn frame(&self, index: usize) -> &Mutex<Bytes<[u8]>> {
        match self {
            Self::K4(frames) => &frames[index],
            Self::K64(frames) => &frames[index],
        }
    }
}

struct Free {
    /// Frames that were used before.
    again: Vec<FrameId>,
    /// First frame that was never used.
    fresh: u32,
}

/// All secure frames of a machine.
pub(crate) struct FramePool {
    page_size: PageSize,
    capacity: u32,
    blocks: Box<[Once<Block>]>,
    free: Mutex<Free>,
    in_use: AtomicU64,
    /// Buffers for ciphertext on its way; kept, since fresh memory is dearer than the cipher.
    scratch: Mutex<Vec<Vec<u8>>>,
}

impl FramePool {
    pub(crate) fn new(page_size: PageSize, capacity: u32) -> Self {
        let blocks = (capacity as usize).div_ceil(BLOCK_BYTES / page_size.bytes());
        Self {
            page_size,
            capacity,
            blocks: (0..blocks).map(|_| Once::new()).collect(),
            free: Mutex::new(Free { again: Vec::new(), fresh: 0 }),
            in_use: AtomicU64::new(0),
            scratch: Mutex::new(Vec::new()),
        }
    }

    /// Lends a buffer of `len` bytes with any content that is not secret. What `act` leaves in it must not be secret.
    pub(crate) fn with_scratch<R>(&self, len: usize, act: impl FnOnce(&mut [u8]) -> R) -> R {
        let mut buffer = self.scratch.lock().pop().unwrap_or_default();
        buffer.resize(len.max(buffer.len()), 0);
        let result = act(&mut buffer[..len]);
        self.scratch.lock().push(buffer);
        result
    }

    pub(crate) fn page_size(&self) -> PageSize {
        self.page_size
    }

    pub(crate) fn capacity(&self) -> u64 {
        u64::from(self.capacity)
    }

    pub(crate) fn in_use(&self) -> u64 {
        self.in_use.load(Ordering::Relaxed)
    }

    fn slot(&self, id: FrameId) -> &Mutex<Bytes<[u8]>> {
        let (index, each) = (id.0 as usize, BLOCK_BYTES / self.page_size.bytes());
        self.blocks[index / each].call_once(|| Block::new(self.page_size)).frame(index % each)
    }

    /// The content of a frame, for who moves its page. A guest access that looks at it right now is waited for.
    pub(crate) fn lock(&self, id: FrameId) -> FrameGuard<'_> {
        self.slot(id).lock()
    }

    /// The content of a frame, if nobody else looks at it now.
    pub(crate) fn try_lock(&self, id: FrameId) -> Option<FrameGuard<'_>> {
        self.slot(id).try_lock()
    }

    /// Takes `count` frames of zeros, a batch at the most; `None` when there are fewer.
    pub(crate) fn take(&self, count: usize) -> Option<Taken<'_>> {
        debug_assert!(count <= BATCH);
        let wanted = u32::try_from(count).ok()?;
        let mut free = self.free.lock();
        let keep = free.again.len().saturating_sub(count);
        let fresh = wanted.saturating_sub(u32::try_from(free.again.len()).unwrap_or(u32::MAX));
        if fresh > self.capacity - free.fresh {
            return None;
        }
        let mut ids: ArrayVec<FrameId, BATCH> = free.again.drain(keep..).collect();
        ids.extend((free.fresh..free.fresh + fresh).map(FrameId));
        free.fresh += fresh;
        drop(free);
        self.in_use.fetch_add(u64::from(wanted), Ordering::Relaxed);
        Some(Taken { pool: self, ids })
    }

    /// Wipes a frame and makes it free.
    pub(crate) fn wipe(&self, id: FrameId) {
        let mut bytes = self.lock(id);
        bytes.fill(0);
        // Keeps the compiler from dropping the fill: what is written here must be in memory.
        zeroize::optimization_barrier(&*bytes);
        drop(bytes);
        self.free.lock().again.push(id);
        self.in_use.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether every free frame holds zeros.
    #[cfg(test)]
    pub(crate) fn free_frames_are_zero(&self) -> bool {
        let free = self.free.lock();
        free.again.len() as u64 + self.in_use() == u64::from(free.fresh)
            && free.again.iter().all(|id| self.lock(*id).iter().all(|byte| *byte == 0))
    }
}

/// Frames that no page has yet: wiped and free again when dropped.
pub(crate) struct Taken<'a> {
    pool: &'a FramePool,
    ids: ArrayVec<FrameId, BATCH>,
}

impl<'a> Taken<'a> {
    /// The content of the frames, in order.
    pub(crate) fn lock(&self) -> ArrayVec<FrameGuard<'a>, BATCH> {
        self.ids.iter().map(|id| self.pool.lock(*id)).collect()
    }

    /// Gives the frames to pages: from now on the words of the pages keep them.
    pub(crate) fn into_ids(mut self) -> ArrayVec<FrameId, BATCH> {
        core::mem::take(&mut self.ids)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.ids.iter().for_each(|id| self.pool.wipe(*id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_limited_reused_and_wiped() {
        let pool = FramePool::new(PageSize::K4, 3);
        assert!(pool.take(4).is_none());
        assert_eq!(pool.in_use(), 0, "a refusal takes nothing");
        let ids = pool.take(3).unwrap().into_ids();
        assert_eq!(pool.in_use(), 3);
        pool.lock(ids[1])[7] = 0x5a;
        assert!(pool.take(1).is_none());
        pool.wipe(ids[1]);
        assert_eq!(pool.in_use(), 2);
        let again = pool.take(1).unwrap();
        assert_eq!(again.ids[..], [ids[1]]);
        assert!(again.lock()[0].iter().all(|b| *b == 0));
    }

    #[test]
    fn frames_that_no_page_got_are_wiped_and_free() {
        for page_size in [PageSize::K4, PageSize::K64] {
            let pool = FramePool::new(page_size, 40);
            let taken = pool.take(31).unwrap();
            taken.lock().iter_mut().for_each(|bytes| bytes.fill(0x77));
            assert_eq!(pool.in_use(), 31);
            drop(taken);
            assert_eq!(pool.in_use(), 0);
            assert!(pool.free_frames_are_zero());
            assert_eq!(
                pool.take(32).unwrap().lock().iter().map(|bytes| bytes.len()).sum::<usize>(),
                32 * page_size.bytes()
            );
        }
    }

    #[test]
    fn a_frame_costs_eight_bytes_beside_its_page() {
        assert_eq!(size_of::<Mutex<Bytes<[u8; 0x1000]>>>(), 0x1008);
        assert_eq!(size_of::<Mutex<Bytes<[u8; 0x1_0000]>>>(), 0x1_0008);
    }
}
