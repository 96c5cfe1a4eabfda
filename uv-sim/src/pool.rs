//! Secure frames: a limited number, reused, wiped before anybody else may have them.

use alloc::{boxed::Box, vec::Vec};
use core::sync::atomic::{AtomicU64, Ordering};

use spin::{Mutex, Once};
use uv_core::PageSize;

/// Frames in one block of the slot table.
const BLOCK: usize = 1024;

/// The number of a frame in the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameId(pub(crate) u32);

/// A frame taken out of the pool. Whoever holds it is its only owner; it goes into a slot with [`FramePool::put`] or
/// back with [`FramePool::give_back`].
pub(crate) struct Frame {
    id: FrameId,
    bytes: Box<[u8]>,
    /// Whether the bytes are known to be zero.
    zero: bool,
}

impl Frame {
    /// The content, to be written: the frame does not count as zero any more.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.zero = false;
        &mut self.bytes
    }

    /// The content.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn id(&self) -> FrameId {
        self.id
    }
}

struct Free {
    /// Frames that were used before; their content is not secret.
    reuse: Vec<Frame>,
    /// First frame that was never used.
    fresh: u32,
}

type Block = Box<[Mutex<Option<Frame>>]>;

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
        let blocks = (capacity as usize).div_ceil(BLOCK);
        Self {
            page_size,
            capacity,
            blocks: (0..blocks).map(|_| Once::new()).collect(),
            free: Mutex::new(Free { reuse: Vec::new(), fresh: 0 }),
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

    fn slot(&self, id: FrameId) -> &Mutex<Option<Frame>> {
        let index = id.0 as usize;
        &self.blocks[index / BLOCK].call_once(|| (0..BLOCK).map(|_| Mutex::new(None)).collect())[index % BLOCK]
    }

    /// Takes up to `count` frames with any non-secret content. Fewer come when the pool runs dry.
    pub(crate) fn take(&self, count: usize) -> Vec<Frame> {
        let mut free = self.free.lock();
        let keep = free.reuse.len().saturating_sub(count);
        let mut frames = free.reuse.split_off(keep);
        let first = free.fresh;
        let fresh = u32::try_from(count - frames.len()).unwrap_or(u32::MAX).min(self.capacity - first);
        free.fresh += fresh;
        drop(free);
        let bytes = self.page_size.bytes();
        frames.extend((first..first + fresh).map(|n| Frame {
            id: FrameId(n),
            bytes: alloc::vec![0; bytes].into_boxed_slice(),
            zero: true,
        }));
        self.in_use.fetch_add(frames.len() as u64, Ordering::Relaxed);
        frames
    }

    /// Takes one frame of zeros.
    pub(crate) fn take_zeroed(&self) -> Option<Frame> {
        let mut frame = self.take(1).pop()?;
        if !frame.zero {
            frame.bytes.fill(0);
            frame.zero = true;
        }
        Some(frame)
    }

    /// Gives frames back whose content is not secret: ciphertext, or wiped.
    pub(crate) fn give_back(&self, frames: impl IntoIterator<Item = Frame>) {
        let mut free = self.free.lock();
        let before = free.reuse.len();
        free.reuse.extend(frames);
        self.in_use.fetch_sub((free.reuse.len() - before) as u64, Ordering::Relaxed);
    }

    /// Wipes a frame and gives it back.
    pub(crate) fn wipe(&self, mut frame: Frame) {
        frame.bytes.fill(0);
        // Keeps the compiler from dropping the fill: what is written here must be in memory.
        zeroize::optimization_barrier(&frame.bytes);
        frame.zero = true;
        self.give_back([frame]);
    }

    /// Makes a frame reachable under its number.
    pub(crate) fn put(&self, frame: Frame) {
        let id = frame.id;
        let old = self.slot(id).lock().replace(frame);
        debug_assert!(old.is_none(), "a frame number is in use once");
    }

    /// Takes a frame out of its slot; `None` when another thread holds it.
    pub(crate) fn remove(&self, id: FrameId) -> Option<Frame> {
        self.slot(id).lock().take()
    }

    /// Lets `act` see the content of a frame in its slot; `None` when another thread took it out.
    pub(crate) fn with<R>(&self, id: FrameId, act: impl FnOnce(&mut [u8]) -> R) -> Option<R> {
        self.slot(id).lock().as_mut().map(|frame| act(&mut frame.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_limited_reused_and_wiped() {
        let pool = FramePool::new(PageSize::K4, 3);
        let mut frames = pool.take(5);
        assert_eq!((frames.len(), pool.in_use()), (3, 3));
        let mut frame = frames.remove(1);
        frame.bytes_mut().fill(0x5a);
        let id = frame.id();
        pool.put(frame);
        assert_eq!(pool.with(id, |bytes| bytes[7]), Some(0x5a));
        assert!(pool.take(1).is_empty());
        let frame = pool.remove(id).unwrap();
        assert!(pool.with(id, |_| ()).is_none());
        pool.wipe(frame);
        assert_eq!(pool.in_use(), 2);
        let again = pool.take_zeroed().unwrap();
        assert_eq!(again.id(), id);
        assert!(again.bytes.iter().all(|b| *b == 0));
    }
}
