//! Host memory: what the hypervisor sees of it, and what is donated of it.

use alloc::sync::Arc;
use alloc::vec::Vec;

use uv_core::{AccessError, HostAddr, NormalMemory};

use super::answer::Refusal;
use super::frames::{ClaimError, ConfId, Frame, FrameClaim, FrameTable};
use crate::abi::uvc::UvRc;

/// Bytes of a frame.
pub(crate) const FRAME: u64 = 0x1000;

/// The host CPU's prefix area: the Ultravisor takes no storage there.
const LOWCORE_END: u64 = 0x2000;

/// All storage of the machine, with the owner of each frame.
pub(crate) struct Storage {
    /// The caller's, so nothing is taken on trust: frames are claimed only where it has memory, and what may lie in a frame is
    /// what the host may see.
    pub(crate) bytes: Arc<dyn NormalMemory>,
    pub(crate) size: u64,
    pub(crate) frames: FrameTable,
}

impl Storage {
    pub(crate) fn new(size: u64, bytes: Arc<dyn NormalMemory>) -> Self {
        Self { bytes, size, frames: FrameTable::new(size) }
    }

    /// Whether there is memory: `len` bytes at `at`, whoever owns them.
    fn exists(&self, at: HostAddr, len: u64) -> Result<(), AccessError> {
        match at.0.checked_add(len) {
            Some(end) if end <= self.size => self.bytes.check(at, len),
            _ => Err(AccessError::Unmapped { at, len: usize::try_from(len).unwrap_or(usize::MAX) }),
        }
    }

    /// Whether the host may access `len` bytes at `at` now.
    pub(crate) fn host_check(&self, at: HostAddr, len: u64) -> Result<(), AccessError> {
        self.exists(at, len)?;
        if len == 0 {
            return Ok(());
        }
        let last = at.0 + (len - 1);
        for page in (at.0 >> 12)..=(last >> 12) {
            let page = HostAddr(page << 12);
            if self.frames.closed().is_closed(page) {
                return Err(AccessError::Secure { at: page });
            }
        }
        Ok(())
    }

    /// Clears a frame.
    pub(crate) fn clear(&self, at: HostAddr) {
        const ZEROS: [u8; 4096] = [0; 4096];
        if let Err(error) = self.bytes.write(at, &ZEROS) {
            tracing::error!(%error, "a frame that was claimed is no longer there");
        }
    }

    /// Claims the frame at `at`, the address of its first byte: one that there is memory for.
    pub(crate) fn claim(&self, at: HostAddr) -> Result<FrameClaim<'_>, ClaimError> {
        self.exists(at, FRAME).map_err(|_| ClaimError::Outside)?;
        self.frames.claim(at)
    }

    /// Waits for a frame that another call is changing. For calls that must not stop half way.
    pub(crate) fn claim_waiting(&self, at: HostAddr) -> Option<FrameClaim<'_>> {
        loop {
            match self.frames.claim(at) {
                Ok(claim) => return Some(claim),
                Err(ClaimError::Outside) => return None,
                Err(ClaimError::Busy) => core::hint::spin_loop(),
            }
        }
    }

    /// Takes `len` bytes at `origin` for `owner`: all frames must be normal. On an error nothing was taken.
    pub(crate) fn donate(&self, origin: u64, len: u64, owner: ConfId) -> Result<Donation, NotAvailable> {
        self.donate_areas(alloc::vec![Area::new(origin, len).ok_or(NotAvailable::Taken)?], owner)
    }

    /// As [`Storage::donate`], for frames that need not be neighbours.
    pub(crate) fn donate_frames(
        &self,
        frames: impl IntoIterator<Item = HostAddr>,
        owner: ConfId,
    ) -> Result<Donation, NotAvailable> {
        let mut areas: Vec<Area> = Vec::new();
        for frame in frames {
            match areas.last_mut().filter(|last| last.origin + last.len == frame.0) {
                Some(last) => last.len += FRAME,
                None => areas.push(Area::new(frame.0, FRAME).ok_or(NotAvailable::Taken)?),
            }
        }
        self.donate_areas(areas, owner)
    }

    fn donate_areas(&self, areas: Vec<Area>, owner: ConfId) -> Result<Donation, NotAvailable> {
        let donation = Donation(areas);
        for (done, frame) in donation.frames().enumerate() {
            let refused = match self.claim(frame) {
                Ok(claim) if claim.old() == Frame::Normal => {
                    claim.set(Frame::Donated(owner));
                    continue;
                }
                Err(ClaimError::Busy) => NotAvailable::Busy,
                Ok(_) | Err(ClaimError::Outside) => NotAvailable::Taken,
            };
            donation.frames().take(done).for_each(|frame| self.release(frame));
            return Err(refused);
        }
        tracing::debug!(?donation, owner = owner.0, "storage donated");
        Ok(donation)
    }

    /// Undoes a donation: the host has its storage as it was.
    pub(crate) fn cancel(&self, donation: &Donation) {
        donation.frames().for_each(|frame| self.release(frame));
    }

    /// Gives donated storage back, cleared.
    pub(crate) fn give_back(&self, donation: &Donation) {
        for frame in donation.frames() {
            self.clear(frame);
            self.release(frame);
        }
        tracing::debug!(?donation, "donated storage given back");
    }

    fn release(&self, frame: HostAddr) {
        if let Some(claim) = self.claim_waiting(frame) {
            claim.set(Frame::Normal);
        }
    }
}

/// Why storage was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAvailable {
    /// It is not all there, not aligned, or given away already.
    Taken,
    /// Another call is changing a frame of it.
    Busy,
}

impl NotAvailable {
    /// The answer of the call that wanted the storage: busy, or its own code.
    pub(crate) fn or(self, taken: UvRc) -> Refusal {
        match self {
            Self::Taken => taken.into(),
            Self::Busy => Refusal::Busy,
        }
    }
}

/// Whole frames.
#[derive(Clone, Copy, Debug)]
struct Area {
    origin: u64,
    len: u64,
}

impl Area {
    /// The frames of `len` bytes at `origin`; `None` when the origin is not a frame's or the end does not exist.
    fn new(origin: u64, len: u64) -> Option<Self> {
        let len = len.checked_next_multiple_of(FRAME)?;
        origin.checked_add(len)?;
        (origin & (FRAME - 1) == 0).then_some(Self { origin, len })
    }

    fn frames(self) -> impl Iterator<Item = HostAddr> {
        (self.origin..self.origin + self.len).step_by(0x1000).map(HostAddr)
    }
}

/// Storage that belongs to the Ultravisor until it is given back.
#[derive(Debug)]
pub(crate) struct Donation(Vec<Area>);

impl Donation {
    fn frames(&self) -> impl Iterator<Item = HostAddr> {
        self.0.iter().flat_map(|area| area.frames())
    }
}

/// Whether `len` bytes at `origin` touch the host's lowcore.
pub(crate) fn overlaps_lowcore(origin: u64, len: u64) -> bool {
    len > 0 && origin < LOWCORE_END
}

/// Host memory as the hypervisor reaches it: normal and shared frames, nothing else.
///
/// An access that touches a donated or a secure frame gives [`AccessError::Secure`] with that frame's address: the
/// secure-storage-access exception (0x3d). Reading the bytes of a frame that was just taken gives what the hypervisor could
/// see before, never plaintext.
#[derive(Clone)]
pub struct HostView(pub(crate) Arc<Storage>);

impl core::fmt::Debug for HostView {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("HostView").field("size", &self.size()).finish()
    }
}

impl HostView {
    /// Size of host memory in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.size
    }
}

impl NormalMemory for HostView {
    fn read(&self, at: HostAddr, into: &mut [u8]) -> Result<(), AccessError> {
        self.0.host_check(at, into.len() as u64)?;
        self.0.bytes.read(at, into)
    }

    fn write(&self, at: HostAddr, from: &[u8]) -> Result<(), AccessError> {
        self.0.host_check(at, from.len() as u64)?;
        self.0.bytes.write(at, from)
    }

    fn check(&self, at: HostAddr, len: u64) -> Result<(), AccessError> {
        self.0.host_check(at, len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uv_sim::HostMemory;

    fn storage() -> Storage {
        Storage::new(0x10_0000, Arc::new(HostMemory::new(0x10_0000)))
    }

    #[test]
    fn donated_storage_is_closed_and_comes_back_cleared() {
        let storage = Arc::new(storage());
        let host = HostView(Arc::clone(&storage));
        host.write(HostAddr(0x5ff0), &[7; 32]).unwrap();
        let donation = storage.donate(0x5000, 0x1800, ConfId(9)).unwrap();
        let closed = |at| Err(AccessError::Secure { at: HostAddr(at) });
        assert_eq!(host.read(HostAddr(0x4fff), &mut [0; 2]), closed(0x5000));
        assert_eq!(host.write(HostAddr(0x6fff), &[1]), closed(0x6000));
        assert_eq!(host.check(HostAddr(0x7000), 1), Ok(()));
        assert_eq!(storage.donate(0x3000, 0x3000, ConfId(9)).err(), Some(NotAvailable::Taken));
        assert_eq!(host.check(HostAddr(0x3000), 0x2000), Ok(()), "a refused donation takes nothing");
        storage.give_back(&donation);
        let mut back = [1; 32];
        host.read(HostAddr(0x5ff0), &mut back).unwrap();
        assert_eq!(back, [0; 32]);
    }

    #[test]
    fn what_cannot_be_donated() {
        let storage = storage();
        let scattered = [0x3000, 0x5000, 0x6000].map(HostAddr);
        let donation = storage.donate_frames(scattered, ConfId(1)).unwrap();
        assert_eq!(donation.0.len(), 2, "neighbours are one area");
        assert_eq!(
            storage.donate_frames([HostAddr(0x2000), HostAddr(0x5000)], ConfId(1)).err(),
            Some(NotAvailable::Taken)
        );
        assert_eq!(storage.frames.get(HostAddr(0x2000)), Some(Frame::Normal));
        assert_eq!(storage.frames.get(HostAddr(0x5000)), Some(Frame::Donated(ConfId(1))));
        for (origin, len) in [(0x10_0000, 1), (0xff000, 0x1001), (8, 0x1000), (!0xfff, 0x2000)] {
            assert_eq!(storage.donate(origin, len, ConfId(1)).err(), Some(NotAvailable::Taken));
        }
        assert!(overlaps_lowcore(0x1000, 1) && !overlaps_lowcore(0x2000, 1));
    }
}
