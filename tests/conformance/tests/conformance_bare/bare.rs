//! The bare engine as a backend of the suite.

use std::sync::Arc;

use uv_conformance::{Backend, GuestOp, Host, Saw};
use uv_core::{EnterSecureMode, ErrorType, Exit, Gfn, HostAddr, MemSlot, MemSlots, PageRange, PageSize, SlotId, Vcpu};
use uv_sim::bare::{BareCall, BareError, BareVcpu, BareVm, Image};
use uv_sim::guest::{Outcome, Script, Step, Transcript};
use uv_sim::{Engine, EngineConfig, HostMemory};

/// Pages of image, then pages for the suite.
const IMAGE: u64 = 4;
const PAGES: u64 = 64;

/// The bare engine with 4 KiB or 64 KiB pages.
pub(crate) struct Bare<const K64: bool> {
    memory: Arc<HostMemory>,
    slots: [MemSlots; 2],
    vms: [BareVm; 2],
}

/// A virtual CPU and what its guest saw.
pub(crate) struct Cpu {
    inner: BareVcpu,
    seen: Transcript<Result<(), BareError>>,
}

impl ErrorType for Cpu {
    type Error = BareError;
}

impl Vcpu for Cpu {
    type Arch = core::convert::Infallible;

    fn run(&mut self) -> Result<Exit<Self::Arch>, BareError> {
        self.inner.run()
    }
}

impl<const K64: bool> Backend for Bare<K64> {
    const SHARING_KEEPS_CONTENT: bool = true;

    type Error = BareError;
    type Vm = BareVm;
    type Cpu = Cpu;

    fn new(seed: u64) -> Self {
        let page_size = if K64 { PageSize::K64 } else { PageSize::K4 };
        let engine = Arc::new(Engine::new(EngineConfig { page_size, frames: 256, seed }));
        let memory = Arc::new(HostMemory::new(2 * PAGES * page_size.size()));
        let slots = [0, PAGES].map(|first| {
            let mut slots = MemSlots::new(page_size);
            let slot = MemSlot { first: Gfn(0), pages: PAGES, host: HostAddr(first * page_size.size()) };
            slots.insert(SlotId(0), slot).expect("one slot fits");
            slots
        });
        let vms = slots.clone().map(|slots| BareVm::new(Arc::clone(&engine), Arc::clone(&memory), slots));
        Self { memory, slots, vms }
    }

    fn vm(&self, index: usize) -> &BareVm {
        &self.vms[index]
    }

    fn enter(&self, index: usize) -> Result<(), BareError> {
        self.vms[index].enter_secure_mode(&Image { pages: PageRange::new(Gfn(0), IMAGE) })
    }

    fn refusals(&self) -> Vec<&'static str> {
        vec!["an image past the end of memory"]
    }

    fn enter_refused(&self, index: usize, _: &str) -> Result<(), BareError> {
        self.vms[index].enter_secure_mode(&Image { pages: PageRange::new(Gfn(PAGES - 1), 2) })
    }

    fn test_pages(&self) -> Gfn {
        Gfn(IMAGE)
    }

    fn slots(&self, index: usize) -> MemSlots {
        self.slots[index].clone()
    }

    fn host(&self) -> Host<'_> {
        &self.memory
    }

    fn cpu(&self, index: usize, ops: Vec<GuestOp>) -> Cpu {
        let steps = ops.into_iter().map(|op| match op {
            GuestOp::Load(at, len) => Step::load(at, len),
            GuestOp::Store(at, bytes) => Step::store(at, &bytes),
            GuestOp::Share(gfn) => Step::Call(BareCall::Share(gfn)),
            GuestOp::Unshare(gfn) => Step::Call(BareCall::Unshare(gfn)),
        });
        let (script, seen) = Script::new(steps);
        Cpu { inner: self.vms[index].vcpu(Box::new(script)), seen }
    }

    fn serve(&self, _: usize, _: &mut Cpu, exit: Exit<core::convert::Infallible>) -> Result<(), BareError> {
        match exit {
            Exit::Arch(never) => match never {},
            Exit::PageMissing { .. } | Exit::Halted => Ok(()),
        }
    }

    fn saw(&self, cpu: &Cpu) -> Vec<Saw> {
        let saw = |outcome: &Outcome<_>| match outcome {
            Outcome::Loaded(bytes) => Saw::Bytes(bytes.to_vec()),
            _ => Saw::Done,
        };
        cpu.seen.lock().iter().map(saw).collect()
    }
}
