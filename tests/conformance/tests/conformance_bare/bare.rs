//! The bare engine as a backend of the suite.

use std::sync::Arc;

use uv_conformance::{Ability, Backend, GuestOp, Host, Saw};
use uv_core::{Gfn, HostAddr, MemSlot, MemSlots, PageRange, PageSize, SlotId};
use uv_sim::bare::{BareAbilities, BareCall, BareError, BareVcpu, BareVm, Image};
use uv_sim::guest::{Outcome, Step};
use uv_sim::{Engine, EngineConfig, HostMemory};

use crate::todo::Todo;

/// Pages of image, then pages for the suite.
const IMAGE: u64 = 4;
const PAGES: u64 = 64;

/// The bare engine with 4 KiB or 64 KiB pages, with all abilities or without sealing.
pub(crate) struct Bare<const K64: bool, const SEALING: bool = true> {
    memory: Arc<HostMemory>,
    vms: [BareVm; 2],
    todo: [Todo; 2],
}

impl<const K64: bool, const SEALING: bool> Backend for Bare<K64, SEALING> {
    const SHARING_KEEPS_CONTENT: bool = SEALING;
    const ABILITIES: &'static [Ability] = if SEALING {
        &[Ability::PageOut, Ability::SharePages, Ability::DestroyPages]
    } else {
        &[Ability::AcceptSharing, Ability::DestroyPages]
    };

    type Error = BareError;
    type Vm = BareVm;
    type Cpu = BareVcpu;

    fn new(seed: u64) -> Self {
        let page_size = if K64 { PageSize::K64 } else { PageSize::K4 };
        let abilities = if SEALING { BareAbilities::ALL } else { BareAbilities::NO_SEALING };
        let engine = Arc::new(Engine::new(EngineConfig { page_size, frames: 256, seed }));
        let memory = Arc::new(HostMemory::new(2 * PAGES * page_size.size()));
        let vms = [0, PAGES].map(|first| {
            let mut slots = MemSlots::new(page_size);
            let slot = MemSlot { first: Gfn(0), pages: PAGES, host: HostAddr(first * page_size.size()) };
            slots.insert(SlotId(0), slot).expect("one slot fits");
            BareVm::with_abilities(Arc::clone(&engine), Arc::clone(&memory), slots, abilities)
        });
        Self { memory, vms, todo: Default::default() }
    }

    fn vm(&self, index: usize) -> &BareVm {
        &self.vms[index]
    }

    fn boot(&self, index: usize, refusal: Option<&str>) -> BareVcpu {
        let todo = self.todo[index].clone();
        todo.clear();
        let pages = if refusal.is_some() { PageRange::new(Gfn(PAGES - 1), 2) } else { PageRange::new(Gfn(0), IMAGE) };
        let program = move |last: Outcome<Result<(), BareError>>| {
            if matches!(last, Outcome::Started) {
                return Step::Call(BareCall::Enter(Image { pages }));
            }
            let saw = || match last {
                Outcome::Loaded(bytes) => Saw::Bytes(bytes.to_vec()),
                Outcome::Returned(Err(_)) => Saw::Refused,
                _ => Saw::Done,
            };
            match todo.next(saw) {
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
        vec!["an image past the end of memory"]
    }

    fn test_pages(&self) -> Gfn {
        Gfn(IMAGE)
    }

    fn host(&self) -> Host<'_> {
        &self.memory
    }

    fn tell(&self, index: usize, ops: Vec<GuestOp>) {
        self.todo[index].tell(ops);
    }

    fn saw(&self, index: usize) -> Vec<Saw> {
        self.todo[index].saw()
    }

    fn serve(&self, _: usize, _: &mut BareVcpu, exit: core::convert::Infallible) -> Result<(), BareError> {
        match exit {}
    }
}
