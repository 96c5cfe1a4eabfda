//! What a guest sees of itself.

use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use uv_core::GuestAddr;
use uv_s390::abi::ipib::Component;
use uv_s390::abi::psw::Psw;
use uv_s390::sim::{GuestCode, GuestInsn, InsnResult};
use uv_sim::guest::{Outcome, Program, Step};

/// Bytes that the measuring guest loads at once.
const CHUNK: u64 = 0x1_0000;

/// A component as the guest reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentFact {
    /// Guest address.
    pub address: u64,
    /// Padded length in bytes.
    pub length: u64,
    /// SHA-256 of the padded plain bytes.
    pub sha256: [u8; 32],
}

/// What the guest found when it ran.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GuestFacts {
    /// The PSW that the guest was started with last.
    pub psw: Option<Psw>,
    /// How often the guest was started.
    pub starts: u32,
    /// The components it has read.
    pub components: Vec<ComponentFact>,
}

/// The guest owner's window into the guest.
#[derive(Debug, Clone, Default)]
pub struct FactsHandle(Arc<Mutex<GuestFacts>>);

impl FactsHandle {
    /// What the guest has found so far; forgets it.
    #[must_use]
    pub fn take(&self) -> GuestFacts {
        core::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn with(&self, change: impl FnOnce(&mut GuestFacts)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A guest that reads every component through its own CPU, hashes it, and halts.
pub(super) struct Measuring {
    pub(super) components: Vec<Component>,
    pub(super) facts: FactsHandle,
}

impl GuestCode for Measuring {
    fn start(&mut self, psw: Psw) -> Box<dyn Program<GuestInsn, InsnResult>> {
        self.facts.with(|facts| {
            facts.psw = Some(psw);
            facts.starts += 1;
        });
        let mut components = self.components.clone().into_iter();
        let facts = self.facts.clone();
        let mut at_work: Option<Work> = components.next().map(Work::new);
        Box::new(move |last: Outcome<InsnResult>| {
            if let (Outcome::Loaded(bytes), Some(work)) = (&last, &mut at_work) {
                work.take(bytes);
            }
            while at_work.as_ref().is_some_and(Work::is_done) {
                if let Some(work) = at_work.take() {
                    facts.with(|facts| facts.components.push(work.finish()));
                }
                at_work = components.next().map(Work::new);
            }
            at_work.as_ref().map_or(Step::Halt, Work::step)
        })
    }
}

struct Work {
    address: u64,
    length: u64,
    done: u64,
    hash: Sha256,
}

impl Work {
    fn new(component: Component) -> Self {
        let length = component.length.get().next_multiple_of(0x1000);
        Self { address: component.address.get(), length, done: 0, hash: Sha256::new() }
    }

    fn is_done(&self) -> bool {
        self.done >= self.length
    }

    fn step<C>(&self) -> Step<C> {
        let len = usize::try_from(CHUNK.min(self.length - self.done)).unwrap_or(0);
        Step::load(GuestAddr(self.address + self.done), len)
    }

    fn take(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.done += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    }

    fn finish(self) -> ComponentFact {
        ComponentFact { address: self.address, length: self.length, sha256: self.hash.finalize().into() }
    }
}
