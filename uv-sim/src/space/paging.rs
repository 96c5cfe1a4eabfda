//! Pages into and out of secure frames.

use super::SecureSpace;
use super::claim::Claim;
use crate::fault::SpaceError;
use crate::pool::{FrameGuard, Taken};
use crate::seal::SealRecord;
use crate::table::Word;
use arrayvec::ArrayVec;
use core::sync::atomic::Ordering;
use uv_core::{AccessError, Gfn, HostAddr, NormalMemory, PageRange, PageState, RangeError};
use uv_crypto::BATCH;

/// What there is one of for each page of a batch.
pub(super) type List<T> = ArrayVec<T, BATCH>;

/// Bytes moved in one batch at the most: what stays in the cache between the copy and the cipher.
const BATCH_BYTES: usize = 512 << 10;

impl SecureSpace {
    /// Makes an absent page secure, holding zeros: the first touch of everything that no image provided.
    ///
    /// # Errors
    /// [`SpaceError::State`] unless absent; [`SpaceError::NoFrame`], [`SpaceError::Busy`], [`SpaceError::OutOfRange`],
    /// [`SpaceError::Closed`].
    pub fn zero_in(&self, gfn: Gfn) -> Result<(), SpaceError> {
        let claim = self.claim(gfn)?;
        if claim.old().state() != PageState::Absent {
            return Err(claim.wrong_state());
        }
        let taken = self.pool.take(1).ok_or(SpaceError::NoFrame)?;
        self.install(core::slice::from_ref(&claim), taken);
        Ok(())
    }

    /// Copies normal pages from `source` on into secure frames and lets `check` see, measure and decipher each batch in
    /// place before the guest can reach it. `check` gets the first page of the batch and the frames in order. Pages must
    /// be absent or secure; a secure one gets the new content.
    ///
    /// # Errors
    /// As [`SecureSpace::zero_in`], [`SpaceError::Memory`], and whatever `check` refuses: the whole batch in which it
    /// happened (at most 32 pages) is as before then.
    pub fn fill<E: From<SpaceError>>(
        &self,
        range: PageRange,
        memory: &dyn NormalMemory,
        source: HostAddr,
        mut check: impl FnMut(Gfn, &mut [&mut [u8]]) -> Result<(), E>,
    ) -> Result<(), RangeError<E>> {
        self.in_batches(range, source, |batch, source| {
            self.replace(batch, |pages| {
                for (bytes, n) in pages.iter_mut().zip(0..) {
                    memory
                        .read(HostAddr(source.0 + (n << self.page_size().shift())), bytes)
                        .map_err(SpaceError::from)?;
                }
                check(batch.first, pages)
            })
        })
    }

    /// As [`SecureSpace::fill`], in one pass: `make` gets the first page of the batch, the normal pages, which nobody changes
    /// meanwhile, and the frames, which hold zeros, in order. What it leaves in the frames is the content.
    ///
    /// # Errors
    /// As [`SecureSpace::fill`].
    pub fn fill_from<E: From<SpaceError>>(
        &self,
        range: PageRange,
        memory: &dyn NormalMemory,
        source: HostAddr,
        mut make: impl FnMut(Gfn, &[&[u8]], &mut [&mut [u8]]) -> Result<(), E>,
    ) -> Result<(), RangeError<E>> {
        let size = self.page_size().bytes();
        self.in_batches(range, source, |batch, source| {
            self.replace(batch, |pages| {
                let mut made = None;
                let count = pages.len();
                if !memory.pages(source, size, count, &mut |sources| made = Some(make(batch.first, sources, pages))) {
                    made = Some(self.pool.with_scratch(count * size, |scratch| {
                        memory.read(source, scratch).map_err(SpaceError::from)?;
                        let sources: List<&[u8]> = scratch.chunks_exact(size).collect();
                        make(batch.first, &sources, pages)
                    }));
                }
                made.unwrap_or(Ok(()))
            })
        })
    }

    /// Puts new frames under absent or secure pages once `make` has filled them.
    fn replace<E: From<SpaceError>>(
        &self,
        batch: PageRange,
        make: impl FnOnce(&mut [&mut [u8]]) -> Result<(), E>,
    ) -> Result<(), E> {
        let claims = self.claim_all(batch, |s| matches!(s, PageState::Absent | PageState::Secure))?;
        let taken = self.pool.take(claims.len()).ok_or(SpaceError::NoFrame)?;
        let mut frames = taken.lock();
        let mut pages: List<&mut [u8]> = frames.iter_mut().map(|bytes| &mut ***bytes).collect();
        make(&mut pages)?;
        drop(pages);
        drop(frames);
        self.install(&claims, taken);
        Ok(())
    }

    /// Seals secure pages into normal memory from `target` on and frees their frames: each page becomes sealed.
    ///
    /// # Errors
    /// [`SpaceError::State`] for a page that is not secure; [`SpaceError::Memory`], [`SpaceError::Busy`],
    /// [`SpaceError::OutOfRange`], [`SpaceError::Closed`]. Batches (at most 32 pages) before the error are done, the one
    /// in which it happened is as before.
    pub fn seal_out(
        &self,
        range: PageRange,
        memory: &dyn NormalMemory,
        target: HostAddr,
    ) -> Result<(), RangeError<SpaceError>> {
        self.in_batches(range, target, |batch, target| {
            let claims = self.claim_all(batch, |s| s == PageState::Secure)?;
            let records = self.seal_batch(&claims, memory, target)?;
            let mut kept = self.records.lock();
            for (claim, record) in claims.iter().zip(records) {
                claim.commit_word(Word::new(PageState::Sealed, claim.old().label(), u64::from(kept.insert(record))));
            }
            drop(kept);
            for claim in &claims {
                self.drop_content(claim.old());
            }
            Ok(())
        })
    }

    /// Writes a sealed copy of a secure page to normal memory and leaves the page secure. The copy cannot be opened again:
    /// it only shows what a page-out would have shown.
    ///
    /// # Errors
    /// As [`SecureSpace::seal_out`].
    pub fn seal_copy(&self, gfn: Gfn, memory: &dyn NormalMemory, target: HostAddr) -> Result<(), SpaceError> {
        let claims = self.claim_all(gfn.into(), |s| s == PageState::Secure)?;
        self.seal_batch(&claims, memory, target).map(drop)
    }

    /// Opens sealed pages from normal memory, from `source` on: each becomes secure if the bytes there are its newest
    /// sealed version. The bytes are read once.
    ///
    /// # Errors
    /// [`SpaceError::Integrity`] with the first page whose bytes are something else; it stays sealed and the right bytes
    /// are still taken later. [`SpaceError::State`] for a page that is not sealed; else as [`SecureSpace::zero_in`]. Batches
    /// (at most 32 pages) before the error are done, the one in which it happened is as before.
    pub fn open_in(
        &self,
        range: PageRange,
        memory: &dyn NormalMemory,
        source: HostAddr,
    ) -> Result<(), RangeError<SpaceError>> {
        self.in_batches(range, source, |batch, source| {
            let claims = self.claim_all(batch, |s| s == PageState::Sealed)?;
            let records: List<SealRecord> = {
                let kept = self.records.lock();
                claims.iter().filter_map(|claim| kept.get(claim.old().index())).collect()
            };
            let taken = self.pool.take(claims.len()).ok_or(SpaceError::NoFrame)?;
            let mut frames = taken.lock();
            let size = self.page_size().bytes();
            let mut pages: List<&mut [u8]> = frames.iter_mut().map(|bytes| &mut ***bytes).collect();
            let mut open = |sources: &[&[u8]]| self.sealer.open_range(batch.first.0, &records, sources, &mut pages);
            let mut opened = None;
            if !memory.pages(source, size, claims.len(), &mut |sources| opened = Some(open(sources))) {
                opened = Some(self.pool.with_scratch(claims.len() * size, |sealed| {
                    memory.read(source, sealed)?;
                    let sources: List<&[u8]> = sealed.chunks_exact(size).collect();
                    Ok::<_, SpaceError>(open(&sources))
                })?);
            }
            drop(pages);
            drop(frames);
            // A call the sealer does not take at all opens nothing: the first page counts as wrong.
            let opened = opened.and_then(Result::ok);
            let failed = opened.map_or(Some(0), |failed| failed.iter().next());
            if let Some(index) = failed {
                return Err(SpaceError::Integrity(batch.first.add(index as u64)));
            }
            self.install(&claims, taken);
            Ok(())
        })
    }

    /// Seals the frames of claimed secure pages into normal memory; the pages stay secure.
    fn seal_batch(
        &self,
        claims: &[Claim<'_>],
        memory: &dyn NormalMemory,
        target: HostAddr,
    ) -> Result<List<SealRecord>, SpaceError> {
        let size = self.page_size().bytes();
        let first = claims.first().map_or(Gfn(0), Claim::gfn);
        let version = self.version.fetch_add(claims.len() as u64, Ordering::Relaxed);
        let mut records: List<SealRecord> = claims.iter().map(|_| SealRecord::default()).collect();
        let frames: List<FrameGuard<'_>> = claims.iter().map(Claim::frame).collect();
        let sources: List<&[u8]> = frames.iter().map(|bytes| &***bytes).collect();
        let mut seal = |targets: &mut [&mut [u8]]| {
            let versions = |index| version + index as u64;
            // The sealer refuses only page numbers that its nonce cannot carry.
            let sealed = self.sealer.seal_range(first.0, versions, &sources, targets, &mut records);
            sealed.map_err(|_| SpaceError::OutOfRange(first))
        };
        let mut sealed = Ok(());
        if !memory.pages_mut(target, size, claims.len(), &mut |targets| sealed = seal(targets)) {
            sealed = self.pool.with_scratch(claims.len() * size, |scratch| {
                let mut targets: List<&mut [u8]> = scratch.chunks_exact_mut(size).collect();
                seal(&mut targets)?;
                drop(targets);
                Ok(memory.write(target, scratch)?)
            });
        }
        sealed.map(|()| records)
    }

    /// Cuts a range into batches and counts the pages done.
    fn in_batches<E: From<SpaceError>>(
        &self,
        range: PageRange,
        normal: HostAddr,
        mut work: impl FnMut(PageRange, HostAddr) -> Result<(), E>,
    ) -> Result<(), RangeError<E>> {
        let size = self.page_size();
        let batch = BATCH.min(BATCH_BYTES / size.bytes()) as u64;
        let mut done = 0;
        while done < range.count {
            let part = PageRange::new(range.first.add(done), batch.min(range.count - done));
            // Every page of the batch has an address.
            let at = normal.checked_add(done << size.shift());
            let at = at.filter(|at| at.checked_add((part.count - 1) << size.shift()).is_some());
            let at = at.ok_or(SpaceError::Memory(AccessError::Unmapped { at: normal, len: size.bytes() }));
            at.map_err(E::from).and_then(|at| work(part, at)).map_err(|error| RangeError { done, error })?;
            done += part.count;
        }
        Ok(())
    }

    /// Claims every page of a batch, all in an allowed state.
    fn claim_all(&self, batch: PageRange, allowed: impl Fn(PageState) -> bool) -> Result<List<Claim<'_>>, SpaceError> {
        let mut claims = List::new();
        for gfn in batch.iter() {
            let claim = self.claim(gfn)?;
            if !allowed(claim.old().state()) {
                return Err(claim.wrong_state());
            }
            claims.push(claim);
        }
        Ok(claims)
    }

    /// Puts frames under claimed pages, which become secure; what the pages held before goes.
    pub(super) fn install(&self, claims: &[Claim<'_>], taken: Taken<'_>) {
        for (claim, id) in claims.iter().zip(taken.into_ids()) {
            let old = claim.old();
            self.drop_content(old);
            claim.commit_word(Word::new(PageState::Secure, old.label(), u64::from(id.0)));
        }
    }
}
