//! Who owns each frame of host memory: one atomic word for each 4 KiB.
//!
//! | kind | host access | guest access | invariant |
//! |---|---|---|---|
//! | normal | yes | non-secure storage access (0x3e) | no guest owns the frame |
//! | donated | secure storage access (0x3d) | violation (0x3f) | given to the Ultravisor until the owner is destroyed |
//! | secure | 0x3d | its owner, at its address; else 0x3f | the owner's page is private |
//! | shared | yes | as secure | the owner's page is shared through this frame |
//! | pinned | yes | as secure | as shared, and the guest cannot take it back |
//!
//! A word is claimed before it is changed; a second claim is refused (the call answers busy, cc 2). The words of one MiB
//! appear when one of its frames is first claimed, and carry the mark that the MiB is verified as one large frame.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering};

use spin::Once;
use uv_core::{Gfn, HostAddr};

use super::closed::ClosedFrames;

/// Number of a configuration in frame words; 0 is the Ultravisor itself. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConfId(pub u32);

impl ConfId {
    /// The Ultravisor: owner of the storage donated at INIT_UV.
    pub(crate) const ULTRAVISOR: Self = Self(0);
    /// The highest number a frame word can carry.
    pub(crate) const MAX: u32 = (1 << OWNER_BITS) - 1;
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Normal,
    Donated(ConfId),
    Secure(ConfId, Gfn),
    Shared(ConfId, Gfn),
    Pinned(ConfId, Gfn),
}

impl Frame {
    /// Whether a host access takes a secure-storage-access exception.
    pub(crate) fn is_closed_to_host(self) -> bool {
        matches!(self, Self::Donated(_) | Self::Secure(..))
    }

    /// The guest page the frame is registered for.
    pub(crate) fn page(self) -> Option<(ConfId, Gfn)> {
        match self {
            Self::Normal | Self::Donated(_) => None,
            Self::Secure(id, gfn) | Self::Shared(id, gfn) | Self::Pinned(id, gfn) => Some((id, gfn)),
        }
    }

    fn to_word(self) -> u64 {
        let (kind, owner, gfn) = match self {
            Self::Normal => (0, ConfId(0), Gfn(0)),
            Self::Donated(owner) => (1, owner, Gfn(0)),
            Self::Secure(owner, gfn) => (2, owner, gfn),
            Self::Shared(owner, gfn) => (3, owner, gfn),
            Self::Pinned(owner, gfn) => (4, owner, gfn),
        };
        debug_assert!(owner.0 <= ConfId::MAX && gfn.0 <= GFN_MASK);
        kind << KIND_SHIFT | u64::from(owner.0) << GFN_BITS | gfn.0 & GFN_MASK
    }

    fn from_word(word: u64) -> Self {
        let [_, _, _, _, owner @ ..] = (word >> GFN_BITS & u64::from(ConfId::MAX)).to_be_bytes();
        let (owner, gfn) = (ConfId(u32::from_be_bytes(owner)), Gfn(word & GFN_MASK));
        match word >> KIND_SHIFT {
            1 => Self::Donated(owner),
            2 => Self::Secure(owner, gfn),
            3 => Self::Shared(owner, gfn),
            4 => Self::Pinned(owner, gfn),
            _ => Self::Normal,
        }
    }
}

const KIND_SHIFT: u32 = 61;
const BUSY: u64 = 1 << 60;
const OWNER_BITS: u32 = 24;
const GFN_BITS: u32 = 36;
const GFN_MASK: u64 = (1 << GFN_BITS) - 1;
/// Frames in a MiB.
const MIB: usize = 256;

/// Why a frame was not claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimError {
    /// There is no such frame, or the address is not that of a frame.
    Outside,
    /// Somebody else is changing it.
    Busy,
}

struct Leaf {
    words: [AtomicU64; MIB],
    /// 0, or the guest MiB that this MiB is verified for: owner and MiB number plus 1.
    merged: AtomicU64,
}

/// The words of all frames of a machine.
pub(crate) struct FrameTable {
    leaves: Box<[Once<Box<Leaf>>]>,
    frames: u64,
    /// What the words say of the host's accesses.
    closed: Arc<ClosedFrames>,
}

impl FrameTable {
    /// A table for `bytes` bytes of host memory, all normal.
    pub(crate) fn new(bytes: u64) -> Self {
        let leaves = usize::try_from(bytes.div_ceil(1 << 20)).expect("the frame table fits the address space");
        let frames = bytes >> 12;
        let closed = Arc::new(ClosedFrames::new(frames));
        Self { leaves: (0..leaves).map(|_| Once::new()).collect(), frames, closed }
    }

    /// Which frames are closed to the host.
    pub(crate) fn closed(&self) -> &Arc<ClosedFrames> {
        &self.closed
    }

    fn split(&self, at: HostAddr) -> Option<(usize, usize)> {
        let number = at.0 >> 12;
        let index = usize::try_from(number).ok().filter(|_| number < self.frames)?;
        Some((index / MIB, index % MIB))
    }

    /// What the frame that holds `at` is; `None` outside memory. A frame in motion is what it was.
    pub(crate) fn get(&self, at: HostAddr) -> Option<Frame> {
        let (leaf, index) = self.split(at)?;
        let word = self.leaves[leaf].get().map_or(0, |leaf| leaf.words[index].load(Ordering::SeqCst));
        Some(Frame::from_word(word & !BUSY))
    }

    /// Claims the frame at `at`, the address of its first byte.
    pub(crate) fn claim(&self, at: HostAddr) -> Result<FrameClaim<'_>, ClaimError> {
        let (leaf, index) = self.split(at).filter(|_| at.0 & 0xfff == 0).ok_or(ClaimError::Outside)?;
        let leaf = self.leaf(leaf);
        let old = leaf.words[index].fetch_or(BUSY, Ordering::AcqRel);
        if old & BUSY != 0 {
            return Err(ClaimError::Busy);
        }
        let old = Frame::from_word(old);
        Ok(FrameClaim { leaf, index, closed: &self.closed, at, old, new: Cell::new(old) })
    }

    fn leaf(&self, leaf: usize) -> &Leaf {
        self.leaves[leaf]
            .call_once(|| Box::new(Leaf { words: [const { AtomicU64::new(0) }; MIB], merged: AtomicU64::new(0) }))
    }

    /// Every frame that is not normal, with its address. A snapshot of a table that others may be changing.
    pub(crate) fn owned(&self) -> impl Iterator<Item = (HostAddr, Frame)> + Clone {
        self.owned_from(HostAddr(0))
    }

    /// As [`FrameTable::owned`], from the MiB of an address on.
    pub(crate) fn owned_from(&self, at: HostAddr) -> impl Iterator<Item = (HostAddr, Frame)> + Clone {
        let skip = usize::try_from(at.0 >> 20).unwrap_or(usize::MAX);
        let leaves = self.leaves.iter().enumerate().skip(skip);
        leaves.filter_map(|(n, leaf)| Some((n, leaf.get()?))).flat_map(|(n, leaf)| {
            leaf.words.iter().enumerate().filter_map(move |(index, word)| {
                let frame = Frame::from_word(word.load(Ordering::Acquire) & !BUSY);
                let at = HostAddr(((n * MIB + index) as u64) << 12);
                (frame != Frame::Normal).then_some((at, frame))
            })
        })
    }

    /// Marks the MiB at `at` as verified for MiB number `mib` of a guest.
    pub(crate) fn set_merged(&self, at: HostAddr, owner: ConfId, mib: u64) {
        if let Some((leaf, _)) = self.split(at) {
            self.leaf(leaf).merged.store(merged_word(owner, mib), Ordering::SeqCst);
        }
    }

    /// Takes the mark of the MiB at `at` away.
    pub(crate) fn clear_merged(&self, at: HostAddr) {
        if let Some((leaf, _)) = self.split(at) {
            self.leaf(leaf).merged.store(0, Ordering::SeqCst);
        }
    }

    /// Whether the MiB that holds `at` is verified for MiB number `mib` of a guest.
    pub(crate) fn is_merged(&self, at: HostAddr, owner: ConfId, mib: u64) -> bool {
        let leaf = self.split(at).and_then(|(leaf, _)| self.leaves[leaf].get());
        leaf.is_some_and(|leaf| leaf.merged.load(Ordering::Acquire) == merged_word(owner, mib))
    }
}

fn merged_word(owner: ConfId, mib: u64) -> u64 {
    u64::from(owner.0) << GFN_BITS | (mib + 1) & GFN_MASK
}

/// A frame that nobody else changes until the claim ends. Dropping it puts down what was last set.
pub(crate) struct FrameClaim<'a> {
    leaf: &'a Leaf,
    index: usize,
    closed: &'a ClosedFrames,
    at: HostAddr,
    old: Frame,
    new: Cell<Frame>,
}

impl FrameClaim<'_> {
    /// What the frame was when it was claimed.
    pub(crate) fn old(&self) -> Frame {
        self.old
    }

    /// Its address.
    pub(crate) fn at(&self) -> HostAddr {
        self.at
    }

    /// What the frame is to be.
    pub(crate) fn set(&self, frame: Frame) {
        self.new.set(frame);
    }
}

impl Drop for FrameClaim<'_> {
    fn drop(&mut self) {
        let new = self.new.get();
        let (was, is) = (self.old.is_closed_to_host(), new.is_closed_to_host());
        if is && !was {
            self.closed.set(self.at, true);
        }
        self.leaf.words[self.index].store(new.to_word(), Ordering::SeqCst);
        // A frame that changes hands breaks the large frame it is part of. After the word: whoever marks the large frame
        // in between sees the new word when it looks again.
        if new.page() != self.old.page() {
            self.leaf.merged.store(0, Ordering::SeqCst);
        }
        if was && !is {
            self.closed.set(self.at, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_what_is_put_in() {
        let (id, gfn) = (ConfId(ConfId::MAX), Gfn(GFN_MASK));
        for frame in [
            Frame::Normal,
            Frame::Donated(id),
            Frame::Secure(id, gfn),
            Frame::Shared(ConfId(1), Gfn(0)),
            Frame::Pinned(ConfId(2), gfn),
        ] {
            assert_eq!(Frame::from_word(frame.to_word()), frame);
        }
    }

    #[test]
    fn a_frame_is_claimed_once_and_only_at_its_address() {
        let table = FrameTable::new(0x3000);
        assert_eq!(table.claim(HostAddr(0x3000)).err(), Some(ClaimError::Outside));
        assert_eq!(table.claim(HostAddr(0x1001)).err(), Some(ClaimError::Outside));
        let claim = table.claim(HostAddr(0x1000)).unwrap();
        assert_eq!(table.claim(HostAddr(0x1000)).err(), Some(ClaimError::Busy));
        claim.set(Frame::Secure(ConfId(3), Gfn(7)));
        assert_eq!(table.get(HostAddr(0x1fff)), Some(Frame::Normal), "in motion: what it was");
        drop(claim);
        assert_eq!(table.get(HostAddr(0x1fff)), Some(Frame::Secure(ConfId(3), Gfn(7))));
        assert!(table.owned().eq([(HostAddr(0x1000), Frame::Secure(ConfId(3), Gfn(7)))]));
    }

    #[test]
    fn a_large_frame_breaks_when_one_page_leaves() {
        let table = FrameTable::new(2 << 20);
        let at = HostAddr(1 << 20);
        table.claim(at).unwrap().set(Frame::Secure(ConfId(1), Gfn(0)));
        table.set_merged(at, ConfId(1), 0);
        assert!(table.is_merged(HostAddr(at.0 + 0x5000), ConfId(1), 0) && !table.is_merged(at, ConfId(1), 1));
        table.claim(at).unwrap().set(Frame::Shared(ConfId(1), Gfn(0)));
        assert!(table.is_merged(at, ConfId(1), 0), "sharing does not change the frame");
        table.claim(at).unwrap().set(Frame::Normal);
        assert!(!table.is_merged(at, ConfId(1), 0));
    }
}
