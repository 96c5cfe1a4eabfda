//! Which frames are closed to the host, as one bit for each: for those who ask at every access.

use alloc::boxed::Box;
use core::sync::atomic::{AtomicU64, Ordering};

use uv_core::HostAddr;

/// The frames of a machine that the host cannot reach: an access takes a secure-storage access exception (0x3d). They are the
/// donated frames and those of secure pages.
///
/// Who uses it: an emulator of the host's CPU, which looks before each access or when it fills a translation buffer, without a
/// call; [`HostView`](super::HostView) looks here too.
///
/// Frame number n (host absolute address / 4096) is bit n modulo 64, of value 2 to the power of that, of word n / 64. Only the
/// Ultravisor changes a bit. When a call that closes a frame has answered, the bit is on; it is on before the frame's
/// storage holds anything that the host may not see.
pub struct ClosedFrames {
    words: Box<[AtomicU64]>,
    changes: AtomicU64,
}

impl core::fmt::Debug for ClosedFrames {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ClosedFrames").field("changes", &self.changes()).finish_non_exhaustive()
    }
}

impl ClosedFrames {
    /// For so many frames, all open.
    pub(super) fn new(frames: u64) -> Self {
        let words = usize::try_from(frames.div_ceil(64)).expect("the bits of all frames fit the address space");
        Self { words: (0..words).map(|_| AtomicU64::new(0)).collect(), changes: AtomicU64::new(0) }
    }

    /// Whether the frame that holds `at` is closed. Outside of host memory nothing is.
    #[must_use]
    pub fn is_closed(&self, at: HostAddr) -> bool {
        self.place(at).is_some_and(|(word, bit)| word.load(Ordering::SeqCst) & bit != 0)
    }

    /// How often a frame was closed or opened. Who keeps translations drops them when the number has changed.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// The counter behind [`ClosedFrames::changes`], to be read where it lies.
    #[must_use]
    pub fn change_counter(&self) -> &AtomicU64 {
        &self.changes
    }

    /// The words, to be read where they lie. Their place stays the same for the machine's life.
    #[must_use]
    pub fn words(&self) -> &[AtomicU64] {
        &self.words
    }

    pub(super) fn set(&self, at: HostAddr, closed: bool) {
        let Some((word, bit)) = self.place(at) else { return };
        let old = if closed { word.fetch_or(bit, Ordering::SeqCst) } else { word.fetch_and(!bit, Ordering::SeqCst) };
        if (old & bit != 0) != closed {
            self.changes.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Closes or opens every frame.
    pub(super) fn set_all(&self, closed: bool) {
        self.words.iter().for_each(|word| word.store(if closed { u64::MAX } else { 0 }, Ordering::SeqCst));
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    fn place(&self, at: HostAddr) -> Option<(&AtomicU64, u64)> {
        let frame = at.0 >> 12;
        let word = usize::try_from(frame / 64).ok().and_then(|word| self.words.get(word))?;
        Some((word, 1 << (frame % 64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_one_bit_of_its_word() {
        let closed = ClosedFrames::new(65);
        assert_eq!(closed.words().len(), 2);
        closed.set(HostAddr(64 << 12), true);
        closed.set(HostAddr(0x3fff), true);
        let words = || [0, 1].map(|n: usize| closed.words()[n].load(Ordering::Relaxed));
        assert_eq!((words(), closed.changes()), ([0b1000, 1], 2));
        assert!(closed.is_closed(HostAddr(0x3000)) && !closed.is_closed(HostAddr(0x4000)));
        closed.set(HostAddr(0x3000), false);
        assert_eq!((words(), closed.change_counter().load(Ordering::Relaxed)), ([0, 1], 3));
        closed.set(HostAddr(0x3000), false);
        assert_eq!(closed.changes(), 3, "it was open");
        closed.set_all(true);
        assert!(closed.is_closed(HostAddr(0)) && closed.is_closed(HostAddr(64 << 12)));
        assert!(!closed.is_closed(HostAddr(u64::MAX)), "outside");
    }
}
