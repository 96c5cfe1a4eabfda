//! The bare engine as a backend of the suite.

use std::sync::Arc;

use uv_conformance::{Ability, Backend, GuestOp, Host, Saw, Script, Setup, TEST_PAGES};
use uv_core::{Gfn, HostAddr, MemSlot, MemSlots, NormalMemory, PageRange, PageSize, SlotId};
use uv_sim::bare::{BareAbilities, BareCall, BareError, BareVcpu, BareVm, Image};
use uv_sim::guest::{Outcome, Step};
use uv_sim::{Engine, EngineConfig, HostMemory};

use crate::memory::MemoryWrap;
use crate::tasks::Tasks;

/// Pages of image, then pages for the suite.
const IMAGE: u64 = 4;
const PAGES: u64 = 64;
/// Secure frames when there are enough, and when there are few.
const FRAMES: u32 = 256;

/// What an engine is made of.
#[derive(Clone, Copy, Debug)]
pub struct EngineKind {
    /// Its page size.
    pub page_size: PageSize,
    /// Whether it has all abilities, or those of a machine without sealing.
    pub sealing: bool,
    /// What stands around normal memory.
    pub memory: MemoryWrap,
}

/// The bare engine.
pub struct Bare {
    memory: Arc<dyn NormalMemory>,
    vms: [BareVm; 2],
    script: [Script; 2],
    sealing: bool,
}

impl core::fmt::Debug for Bare {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Bare").field("sealing", &self.sealing).finish_non_exhaustive()
    }
}

impl Bare {
    /// A machine with two VMs.
    ///
    /// # Panics
    /// Never: one slot fits.
    #[must_use]
    pub fn new(kind: EngineKind, setup: &Setup) -> Self {
        let EngineKind { page_size, sealing, .. } = kind;
        let abilities = if sealing { BareAbilities::ALL } else { BareAbilities::NO_SEALING };
        let few = u32::try_from(IMAGE + TEST_PAGES / 2 - 2).unwrap_or(FRAMES);
        let frames = if setup.tight { few } else { FRAMES };
        let engine = Arc::new(Engine::new(EngineConfig { page_size, frames, seed: setup.seed }));
        let memory = kind.memory.around(HostMemory::new(2 * PAGES * page_size.size()));
        let vms = [0, PAGES].map(|first| {
            let mut slots = MemSlots::new(page_size);
            let slot = MemSlot { first: Gfn(0), pages: PAGES, host: HostAddr(first * page_size.size()) };
            slots.insert(SlotId(0), slot).expect("one slot fits");
            BareVm::with_abilities(Arc::clone(&engine), Arc::clone(&memory), slots, abilities)
        });
        Self { memory, vms, script: Default::default(), sealing }
    }
}

impl Backend for Bare {
    type Error = BareError;
    type Vm = BareVm;
    type Cpu = BareVcpu;

    fn abilities(&self) -> &[Ability] {
        if self.sealing {
            &[Ability::PageOut, Ability::SharePages, Ability::DestroyPages, Ability::LimitedMemory]
        } else {
            &[Ability::AcceptSharing, Ability::DestroyPages, Ability::LimitedMemory]
        }
    }

    fn sharing_keeps_content(&self) -> bool {
        self.sealing
    }

    fn vm(&self, index: usize) -> &BareVm {
        &self.vms[index]
    }

    fn boot(&self, index: usize, refusal: Option<&str>) -> BareVcpu {
        let script = self.script[index].clone();
        script.clear();
        let pages = match refusal {
            None => PageRange::new(Gfn(0), IMAGE),
            Some("an image without end") => PageRange::new(Gfn(1), u64::MAX),
            Some(_) => PageRange::new(Gfn(PAGES - 1), 2),
        };
        let mut tasks = Tasks::new(script);
        let program = move |last: Outcome<Result<(), BareError>>| {
            if matches!(last, Outcome::Started) {
                return Step::Call(BareCall::Enter(Image { pages }));
            }
            let saw = || match last {
                Outcome::Loaded(bytes) => Saw::Bytes(bytes.to_vec()),
                Outcome::Returned(Err(_)) => Saw::Refused,
                _ => Saw::Done,
            };
            match tasks.next(saw) {
                None => Step::Call(BareCall::Wait),
                Some(GuestOp::Load(at, len)) => Step::load(at, len),
                Some(GuestOp::Store(at, bytes)) => Step::store(at, &bytes),
                Some(GuestOp::Share(gfn)) => Step::Call(BareCall::Share(gfn)),
                Some(GuestOp::Unshare(gfn)) => Step::Call(BareCall::Unshare(gfn)),
                Some(GuestOp::End) => Step::Halt,
            }
        };
        self.vms[index].vcpu(Box::new(program))
    }

    fn refusals(&self) -> Vec<&'static str> {
        vec!["an image past the end of memory", "an image without end"]
    }

    fn test_pages(&self) -> Gfn {
        Gfn(IMAGE)
    }

    fn host(&self) -> Host<'_> {
        &self.memory
    }

    fn script(&self, index: usize) -> &Script {
        &self.script[index]
    }
}
