//! A VM of the toy: where it stands, how it enters, how it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use uv_core::{
    AcceptSharing, DestroyPages, EnterSecureMode, ErrorKind, ErrorType, Exit, Gfn, HostAddr, MemSlot, MemSlots,
    NormalMemory, PageCounts, PageIn, PageOut, PageSize, PageState, SecureVm, SharePages, SlotId, Vcpu, VmState,
};

use super::machine::{IMAGE, Machine, PAGE_SIZE, PAGES, SIZE, ToyError, lock};
use super::seal::Sealed;
use super::{Fault, ToyCpu};

/// What stands behind a page that is not absent.
pub(super) enum Page {
    Secure(Vec<u8>),
    Sealed(Sealed),
    Shared,
    Withdrawn,
}

/// What the ultravisor keeps of a secure VM.
#[derive(Default)]
pub(super) struct Life {
    pub(super) number: u64,
    pub(super) pages: BTreeMap<u64, Page>,
    /// Pages marked by a fault.
    pub(super) marked: BTreeSet<u64>,
    /// What pages held when they first went out.
    pub(super) first: BTreeMap<u64, Vec<u8>>,
}

pub(super) struct Inner {
    pub(super) index: usize,
    pub(super) machine: Arc<Machine>,
    pub(super) life: Mutex<Option<Life>>,
    pub(super) past: Mutex<Option<Life>>,
    pub(super) other: OnceLock<Weak<Inner>>,
    /// Calls that move pages now.
    pub(super) moving: AtomicU64,
    refusals: AtomicU64,
    /// What the guest asked to share (`true`) or to take back, and nobody has done.
    pub(super) asked: Mutex<BTreeSet<(Gfn, bool)>>,
}

/// A VM. Cloning gives another handle.
#[derive(Clone)]
pub struct ToyVm(pub(super) Arc<Inner>);

impl core::fmt::Debug for ToyVm {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "ToyVm({})", self.0.index)
    }
}

impl ToyVm {
    pub(super) fn new(machine: &Arc<Machine>, index: usize) -> Self {
        Self(Arc::new(Inner {
            index,
            machine: Arc::clone(machine),
            life: Mutex::default(),
            past: Mutex::default(),
            other: OnceLock::new(),
            moving: AtomicU64::new(0),
            refusals: AtomicU64::new(0),
            asked: Mutex::default(),
        }))
    }

    pub(super) fn knows(&self, other: &Self) {
        let _ = self.0.other.set(Arc::downgrade(&other.0));
    }

    /// The other VM of the machine.
    pub(super) fn other(&self) -> Option<Self> {
        self.0.other.get()?.upgrade().map(Self)
    }

    pub(super) fn has(&self, fault: Fault) -> bool {
        self.0.machine.has(fault)
    }

    pub(super) fn error(&self, kind: ErrorKind, text: &str) -> ToyError {
        self.0.machine.error(kind, text)
    }

    /// Where a page lies in normal memory.
    pub(super) fn at(&self, page: u64) -> HostAddr {
        HostAddr((self.0.index as u64 * PAGES + page) << PAGE_SIZE.shift())
    }

    pub(super) fn host_page(&self, page: u64) -> Vec<u8> {
        let mut bytes = vec![0; SIZE];
        let _ = self.0.machine.host.memory.read(self.at(page), &mut bytes);
        bytes
    }

    pub(super) fn set_host_page(&self, page: u64, bytes: &[u8]) {
        let _ = self.0.machine.host.memory.write(self.at(page), bytes);
    }

    /// Takes the image over.
    fn begin(&self) -> Result<(), ToyError> {
        let mut life = Life { number: self.0.machine.number(), ..Life::default() };
        for page in 0..IMAGE {
            let mut frame =
                self.0.machine.frame().ok_or_else(|| self.error(ErrorKind::Exhausted, "no frame is free"))?;
            frame.copy_from_slice(&self.host_page(page));
            life.pages.insert(page, Page::Secure(frame));
        }
        if self.has(Fault::SharingSurvives)
            && let Some(past) = &*lock(&self.0.past)
        {
            let shared = past.pages.iter().filter(|(_, page)| matches!(page, Page::Shared));
            shared.for_each(|(page, _)| drop(life.pages.insert(*page, Page::Shared)));
        }
        *lock(&self.0.life) = Some(life);
        Ok(())
    }

    fn end(&self) {
        let Some(mut life) = lock(&self.0.life).take() else { return };
        for (page, content) in &mut life.pages {
            if let Page::Secure(bytes) = content {
                if self.has(Fault::EndRevealsPages) {
                    self.set_host_page(*page, bytes);
                }
                if !self.has(Fault::LeaksFrames) {
                    self.0.machine.give_back(bytes.clone());
                }
            }
        }
        if self.has(Fault::HoldsMemory) {
            let first = self.0.index as u64 * PAGES;
            lock(&self.0.machine.host.held).extend(first..first + PAGES);
        }
        *lock(&self.0.past) = Some(life);
    }
}

impl ErrorType for ToyVm {
    type Error = ToyError;
}

impl SecureVm for ToyVm {
    fn page_size(&self) -> PageSize {
        PAGE_SIZE
    }

    fn mem_slots(&self) -> MemSlots {
        let shrinks = self.has(Fault::SlotsShrink) && self.vm_state() == VmState::Secure;
        let mut slots = MemSlots::new(PAGE_SIZE);
        let slot = MemSlot { first: Gfn(0), pages: PAGES - u64::from(shrinks), host: self.at(0) };
        let _ = slots.insert(SlotId(0), slot);
        slots
    }

    fn vm_state(&self) -> VmState {
        if lock(&self.0.life).is_some() { VmState::Secure } else { VmState::Normal }
    }

    fn page_state(&self, gfn: Gfn) -> Result<PageState, ToyError> {
        if gfn.0 >= PAGES && !self.has(Fault::StateOfNoSlot) {
            return Err(self.no_slot());
        }
        let life = lock(&self.0.life);
        Ok(match life.as_ref().and_then(|life| life.pages.get(&gfn.0)) {
            None => PageState::Absent,
            Some(Page::Secure(_)) => PageState::Secure,
            Some(Page::Sealed(_)) => PageState::Sealed,
            Some(Page::Shared) => PageState::Shared,
            Some(Page::Withdrawn) => PageState::Withdrawn,
        })
    }

    fn page_counts(&self) -> Result<PageCounts, ToyError> {
        let busy = self.has(Fault::CountsBesideAreOff) && self.0.moving.load(Ordering::SeqCst) > 0;
        let mut counts = PageCounts::default();
        if busy || self.has(Fault::CountsNothing) {
            return Ok(counts);
        }
        for (_, slot) in self.mem_slots().iter() {
            for gfn in slot.range().iter() {
                match self.page_state(gfn)? {
                    PageState::Shared if self.has(Fault::CountsSharedAsSecure) => counts.add(PageState::Secure),
                    state => counts.add(state),
                }
            }
        }
        Ok(counts)
    }

    fn terminate(&self) -> Result<(), ToyError> {
        if self.vm_state() == VmState::Normal && self.has(Fault::EndsOnceOnly) {
            return Err(self.error(ErrorKind::WrongState, "the VM is normal"));
        }
        if !self.has(Fault::NeverEnds) {
            self.end();
        }
        if self.has(Fault::EndsTheOther)
            && let Some(other) = self.other()
        {
            other.end();
        }
        Ok(())
    }

    fn as_page_out(&self) -> Option<&dyn PageOut<Error = ToyError>> {
        Some(self)
    }

    fn as_share_pages(&self) -> Option<&dyn SharePages<Error = ToyError>> {
        (!self.asking()).then_some(self)
    }

    fn as_accept_sharing(&self) -> Option<&dyn AcceptSharing<Error = ToyError>> {
        self.asking().then_some(self)
    }

    fn as_destroy_pages(&self) -> Option<&dyn DestroyPages<Error = ToyError>> {
        (!self.has(Fault::AbilityVanishes) || self.vm_state() == VmState::Normal).then_some(self)
    }
}

impl EnterSecureMode for ToyVm {
    type Cpu = ToyCpu;
    type Entry = ();

    fn enter_secure_mode(&self, cpu: &mut ToyCpu) -> Result<(), ToyError> {
        if self.vm_state() == VmState::Secure {
            let state = self.error(ErrorKind::WrongState, "the VM is secure");
            return if self.has(Fault::EntersTwice) { Ok(()) } else { Err(state) };
        }
        let mine = cpu.is_of(&self.0) || self.has(Fault::EntersForOthers);
        if !(mine && (cpu.asks || self.has(Fault::EntersUnasked))) {
            return Err(self.error(ErrorKind::WrongState, "the guest has not asked"));
        }
        if !cpu.good_image && !self.has(Fault::AcceptsBadImages) {
            cpu.refused = true;
            cpu.asks = self.has(Fault::WishStays);
            if self.has(Fault::StaysAfterRefusal) {
                self.begin()?;
            }
            let odd = self.0.refusals.fetch_add(1, Ordering::SeqCst) % 2 == 1;
            let kind = match self.0.machine.fault {
                Some(Fault::RefusesAsState) => ErrorKind::WrongState,
                Some(Fault::RefusesAtRandom) if odd => ErrorKind::InvalidArgument,
                _ => ErrorKind::Integrity,
            };
            return Err(self.error(kind, "the image is not what was signed"));
        }
        cpu.asks = false;
        self.begin()?;
        if self.has(Fault::RunsOn) {
            while let Exit::PageMissing { gfn, .. } = cpu.run()? {
                self.page_in(gfn)?;
            }
        }
        Ok(())
    }
}
