//! Guest memory as the ultravisor reads and writes it, during a transition and for RTAS calls.

use alloc::vec::Vec;

use sha2::{Digest as _, Sha512};
use uv_core::{Access, Gfn, GuestAddr, PageRange, PageSize, PageState};
use uv_sim::{GuestFault, SpaceError};

use crate::abi::codes::HvCode;
use crate::abi::numbers::PageInFlags;
use crate::owner::digests::Sha512Digest;
use crate::sim::failure::EsmFailure;
use crate::sim::flow::Uv;
use crate::sim::svm::GfnState;

/// Pages below this number are asked for once; the firmware's bitmap ends here.
const TRACKED: u64 = 16_777_216;
/// How often a page that goes out again before it was reached is asked for.
const ROUNDS: u32 = 10;
/// Bytes looked at in one step.
const STEP: u64 = 1 << 16;

/// The pages that `len` bytes at `at` touch.
fn pages(at: GuestAddr, len: u64) -> Result<PageRange, EsmFailure> {
    let last = at.checked_add(len.saturating_sub(1)).ok_or(EsmFailure::NoSlot(at))?;
    let first = PageSize::K64.gfn(at);
    Ok(PageRange::new(first, if len == 0 { 0 } else { PageSize::K64.gfn(last).0 - first.0 + 1 }))
}

impl Uv {
    /// Has the pages of `len` bytes at `at` brought in, each once. A page that is shared stays so. Nothing to bring is a failure.
    pub(super) async fn bring(&self, at: GuestAddr, len: u64) -> Result<(), EsmFailure> {
        if len == 0 {
            return Err(EsmFailure::Empty(at));
        }
        for gfn in pages(at, len)?.iter() {
            if !self.svm.slots.read().contains(gfn) {
                return Err(EsmFailure::NoSlot(PageSize::K64.addr(gfn)));
            }
            let tracked = gfn.0 < TRACKED && self.svm.brought.lock().contains(&gfn.0);
            if tracked || self.svm.gfn_state(gfn).is_shared() {
                continue;
            }
            self.ask(gfn).await?;
            self.svm.brought.lock().insert(gfn.0);
        }
        Ok(())
    }

    async fn ask(&self, gfn: Gfn) -> Result<(), EsmFailure> {
        match self.page_in(gfn, PageInFlags::empty()).await {
            HvCode::H_SUCCESS => Ok(()),
            code => Err(EsmFailure::Page { gfn, code }),
        }
    }

    /// Sees to it that a page can be read: one that went out under pressure comes back, one that nobody provided is zeros.
    async fn present(&self, gfn: Gfn) -> Result<(), EsmFailure> {
        if self.svm.gfn_state(gfn) == GfnState::PagedOut {
            self.ask(gfn).await?;
        }
        if self.svm.space.state(gfn) == Ok(PageState::Absent) {
            self.make_room(gfn).await;
            let _held = self.svm.hold(gfn).ok_or(EsmFailure::NoSlot(PageSize::K64.addr(gfn)))?;
            match self.svm.space.zero_in(gfn) {
                // Another virtual CPU was faster.
                Ok(()) | Err(SpaceError::State { .. }) => {}
                Err(_) => return Err(EsmFailure::NoMemory),
            }
        }
        Ok(())
    }

    /// Makes an access to the page of `at`, which is there first; again when another CPU moved the page meanwhile.
    async fn reach(&self, at: GuestAddr, mut access: impl FnMut() -> Result<(), GuestFault>) -> Result<(), EsmFailure> {
        let mut moved = 0;
        while moved < ROUNDS {
            self.present(PageSize::K64.gfn(at)).await?;
            match access() {
                Ok(()) => return Ok(()),
                Err(GuestFault::Busy(_)) => self.pause().await,
                Err(GuestFault::Missing { state: PageState::Sealed | PageState::Absent, .. }) => moved += 1,
                Err(_) => break,
            }
        }
        Err(EsmFailure::Unreadable(at))
    }

    /// Calls `take` with the bytes at `at`, piece by piece. The pages were brought in before.
    async fn each_piece(&self, at: GuestAddr, len: u64, mut take: impl FnMut(&[u8])) -> Result<(), EsmFailure> {
        let mut buffer = alloc::vec![0; PageSize::K64.bytes()];
        let mut done = 0;
        while done < len {
            let here = at.checked_add(done).ok_or(EsmFailure::NoSlot(at))?;
            let step = (STEP - PageSize::K64.offset(here.0)).min(len - done);
            let piece = usize::try_from(step).ok().and_then(|step| buffer.get_mut(..step));
            let piece = piece.ok_or(EsmFailure::Unreadable(here))?;
            let memory = &*self.platform.memory;
            self.reach(here, || self.svm.space.guest_read(memory, here, piece, Access::Load)).await?;
            take(piece);
            done += step;
        }
        Ok(())
    }

    /// Brings in and reads bytes. Only as much memory is taken as the hypervisor delivered.
    pub(super) async fn read(&self, at: GuestAddr, len: u64) -> Result<Vec<u8>, EsmFailure> {
        self.bring(at, len).await?;
        let mut bytes = Vec::new();
        self.each_piece(at, len, |piece| bytes.extend_from_slice(piece)).await?;
        Ok(bytes)
    }

    /// Reads bytes of a VM that is secure already.
    pub(crate) async fn fetch(&self, at: GuestAddr, len: u64) -> Result<Vec<u8>, EsmFailure> {
        for gfn in pages(at, len)?.iter() {
            if !self.svm.slots.read().contains(gfn) {
                return Err(EsmFailure::NoSlot(PageSize::K64.addr(gfn)));
            }
        }
        let mut bytes = Vec::new();
        self.each_piece(at, len, |piece| bytes.extend_from_slice(piece)).await?;
        Ok(bytes)
    }

    /// Digests bytes, which are brought in first.
    pub(super) async fn digest(&self, at: GuestAddr, len: u64) -> Result<Sha512Digest, EsmFailure> {
        if len > 0 {
            self.bring(at, len).await?;
        }
        let mut hash = Sha512::new();
        self.each_piece(at, len, |piece| hash.update(piece)).await?;
        Ok(Sha512Digest(hash.finalize().into()))
    }

    /// Writes bytes into guest memory, page by page: under pressure a page that is not at work can go out again.
    pub(crate) async fn write(&self, at: GuestAddr, bytes: &[u8]) -> Result<(), EsmFailure> {
        for gfn in pages(at, bytes.len() as u64)?.iter() {
            if !self.svm.slots.read().contains(gfn) {
                return Err(EsmFailure::NoSlot(PageSize::K64.addr(gfn)));
            }
        }
        let (mut here, mut rest) = (at, bytes);
        while !rest.is_empty() {
            let room = usize::try_from(STEP - PageSize::K64.offset(here.0)).unwrap_or(rest.len());
            let (piece, after) = rest.split_at(room.min(rest.len()));
            let memory = &*self.platform.memory;
            self.reach(here, || self.svm.space.guest_write(memory, here, piece)).await?;
            here = GuestAddr(here.0.saturating_add(piece.len() as u64));
            rest = after;
        }
        Ok(())
    }
}
