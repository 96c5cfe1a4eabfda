//! The pages of normal memory behind a guest's pages (power-pef §6.3; docs/decisions/0013-host-pages.md).
//!
//! A page that moves into secure memory leaves the host's page behind; when it comes out again, with its content
//! (`UV_PAGE_OUT`) or without, it gets a page anew, as Linux takes one from its allocator. With [`HostPages`] that is a page of
//! its own each time; without them it is the page's place in its memory slot. The new page is cleared first: an
//! ultravisor that reports success and writes nothing, as the firmware does after a failed transition, leaves zeros and not
//! what the host or the guest had there before.

use alloc::collections::BTreeMap;

use uv_core::{Gfn, GuestAddr, HostAddr, MemSlot, MemSlots, SlotId};

use super::{GfnState, KvmError, Vm};

/// Where the host takes pages of 64 KiB for guests from.
pub trait HostPages: Send + Sync {
    /// A page that nobody uses; `None` when none is free.
    fn take(&self) -> Option<HostAddr>;

    /// The page is not used any more.
    fn give_back(&self, page: HostAddr);
}

/// Pages that lie elsewhere than in their memory slot.
pub(super) type Moved = BTreeMap<Gfn, HostAddr>;

/// Bytes that are cleared at once.
static ZEROS: [u8; 4096] = [0; 4096];

impl Vm {
    /// Where the byte at `at` lies in normal memory now: in its memory slot, or in the page that it got when it came out
    /// of secure memory. For a page that is secure this is memory that is not the guest's.
    #[must_use]
    pub fn host_addr(&self, at: GuestAddr) -> Option<HostAddr> {
        self.host_page(Self::PAGE_SIZE.gfn(at))?.checked_add(Self::PAGE_SIZE.offset(at.0))
    }

    /// [`Vm::host_addr`] of a page.
    pub(super) fn host_page(&self, gfn: Gfn) -> Option<HostAddr> {
        let place = self.slots.read().host_page(gfn)?;
        Some(self.moved.lock().get(&gfn).copied().unwrap_or(place))
    }

    /// A cleared page for a guest page that comes out of secure memory. [`Vm::use_page`] or [`Vm::drop_page`] follows.
    ///
    /// # Errors
    /// [`KvmError::Fault`] without memory slot or memory, [`KvmError::NoPage`].
    pub(super) fn new_page(&self, gfn: Gfn) -> Result<HostAddr, KvmError> {
        let place = self.slots.read().host_page(gfn).ok_or(KvmError::Fault(gfn))?;
        let page = match &self.pages {
            Some(pages) => pages.take().ok_or(KvmError::NoPage)?,
            None => place,
        };
        if self.clear(page) {
            Ok(page)
        } else {
            self.drop_page(gfn, page);
            Err(KvmError::Fault(gfn))
        }
    }

    fn clear(&self, page: HostAddr) -> bool {
        let parts = (0..Self::PAGE_SIZE.size()).step_by(ZEROS.len());
        parts.into_iter().all(|at| self.host.memory.write(HostAddr(page.0 + at), &ZEROS).is_ok())
    }

    /// The page is the guest page's from now on.
    pub(super) fn use_page(&self, gfn: Gfn, page: HostAddr) {
        if self.slots.read().host_page(gfn) != Some(page) {
            self.moved.lock().insert(gfn, page);
        }
    }

    /// The page was not needed.
    pub(super) fn drop_page(&self, gfn: Gfn, page: HostAddr) {
        if self.slots.read().host_page(gfn) != Some(page) {
            self.give_page_back(page);
        }
    }

    /// The guest page moved into secure memory or is gone: a page of its own goes back to the host.
    pub(super) fn release_page(&self, gfn: Gfn) {
        let page = self.moved.lock().remove(&gfn);
        if let Some(page) = page {
            self.give_page_back(page);
        }
    }

    pub(super) fn give_page_back(&self, page: HostAddr) {
        if let Some(pages) = &self.pages {
            pages.give_back(page);
        }
    }

    /// Tells what a normal guest of the partition reaches: every page but those that are secure still.
    pub(super) fn publish_memory(&self) {
        let slots = self.slots();
        let as_it_is = self.gfns.is_empty() && self.moved.lock().is_empty();
        let memory = if as_it_is { slots } else { self.runs(&slots) };
        self.host.entry.set_partition_memory(self.lpid, Some(&memory));
    }

    /// Stretches of pages that follow each other for guest and host.
    fn runs(&self, slots: &MemSlots) -> MemSlots {
        let mut runs: alloc::vec::Vec<MemSlot> = alloc::vec::Vec::new();
        for (_, slot) in slots.iter() {
            for gfn in (slot.first.0..slot.first.0 + slot.pages).map(Gfn) {
                let Some(host) = self.host_page(gfn).filter(|_| !matches!(self.gfn_state(gfn), GfnState::Uvmem(_)))
                else {
                    continue;
                };
                match runs.last_mut() {
                    Some(run) if follows(run, gfn, host) => run.pages += 1,
                    _ => runs.push(MemSlot { first: gfn, pages: 1, host }),
                }
            }
        }
        let mut memory = MemSlots::new(Self::PAGE_SIZE);
        // Pages past the last number are not reachable, which a guest sees as a fault.
        for (id, run) in (0..=u16::MAX).map(SlotId).zip(runs) {
            if memory.insert(id, run).is_err() {
                tracing::warn!(lpid = self.lpid.0, gfn = run.first.0, "normal memory that cannot be mapped");
            }
        }
        memory
    }
}

/// Whether a page comes next after a stretch, for guest and host.
fn follows(run: &MemSlot, gfn: Gfn, host: HostAddr) -> bool {
    let bytes = run.pages << Vm::PAGE_SIZE.shift();
    run.first.0.checked_add(run.pages) == Some(gfn.0) && run.host.checked_add(bytes) == Some(host)
}
