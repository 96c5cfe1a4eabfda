//! The hypervisor of `uv-core`'s front page, as it stands there, run on the engine.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use uv_core::{Gfn, GuestAddr, HostAddr, MemSlot, MemSlots, NormalMemory, PageRange, PageSize, SlotId, VmState};
use uv_sim::bare::{BareAbilities, BareCall, BareError, BareVm, Image};
use uv_sim::guest::{Outcome, Script, Step};
use uv_sim::{Engine, EngineConfig, HostMemory};

include!("../../uv-core/doc/supervise.rs");

const PAGES: u64 = 32;
/// The pages of the guest's image, and the ones it works on.
const IMAGE: PageRange = PageRange::new(Gfn(0), 2);
const WORK: PageRange = PageRange::new(Gfn(4), 12);
/// The page that it shares.
const SHARED: Gfn = Gfn(20);

fn at(gfn: Gfn) -> GuestAddr {
    PageSize::K4.addr(gfn)
}

/// What came of a run.
#[derive(Debug, PartialEq)]
struct Ran {
    /// What the guest read.
    loaded: Vec<Vec<u8>>,
    /// How often it became secure.
    entered: u32,
    /// What the hypervisor finds in the shared page.
    shared: [u8; 6],
}

/// A guest that is refused, asks again, writes its pages, shares one, and reads its pages back.
fn run(abilities: BareAbilities, frames: u32) -> Result<Ran, BareError> {
    let engine = Arc::new(Engine::new(EngineConfig { page_size: PageSize::K4, frames, seed: 5 }));
    let memory = Arc::new(HostMemory::new(PAGES << 12));
    let mut slots = MemSlots::new(PageSize::K4);
    slots.insert(SlotId(0), MemSlot { first: Gfn(0), pages: PAGES, host: HostAddr(0) }).unwrap();
    let vm = BareVm::with_abilities(Arc::clone(&engine), Arc::clone(&memory), slots, abilities);
    let enter = |first| Step::Call(BareCall::Enter(Image { pages: PageRange::new(Gfn(first), IMAGE.count) }));
    let mut steps = vec![enter(PAGES - 1), enter(0)];
    steps.extend(WORK.iter().map(|gfn| Step::store(at(gfn), &gfn.0.to_be_bytes())));
    steps.extend([Step::Call(BareCall::Share(SHARED)), Step::store(at(SHARED), b"shared")]);
    steps.extend(WORK.iter().map(|gfn| Step::load(at(gfn), 8)));
    let (script, seen) = Script::new(steps);
    let mut cpu = vm.vcpu(Box::new(script));

    let entered = supervise(&vm, &mut cpu, |_, never| match never {})?;

    assert_eq!((vm.vm_state(), engine.frames_in_use()), (VmState::Normal, 0), "the VM has ended");
    let seen = core::mem::take(&mut *seen.lock());
    let loaded = seen.iter().filter_map(|outcome| match outcome {
        Outcome::Loaded(bytes) => Some(bytes.to_vec()),
        _ => None,
    });
    let loaded = loaded.collect();
    let mut shared = [0; 6];
    memory.read(HostAddr(at(SHARED).0), &mut shared).unwrap();
    Ok(Ran { loaded, entered, shared })
}

#[test]
fn it_takes_a_guest_through_everything_on_machines_with_and_without_sealing() {
    let all: Vec<Vec<u8>> = WORK.iter().map(|gfn| gfn.0.to_be_bytes().to_vec()).collect();
    for (abilities, frames) in [(BareAbilities::ALL, 32), (BareAbilities::ALL, 6), (BareAbilities::NO_SEALING, 32)] {
        let ran = Ran { loaded: all.clone(), entered: 1, shared: *b"shared" };
        assert_eq!(run(abilities, frames), Ok(ran), "{abilities:?}, {frames} frames");
    }
}

#[test]
fn where_nothing_goes_out_the_guest_stops_when_memory_is_full() {
    let full = run(BareAbilities::NO_SEALING, 6).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::Exhausted);
}
