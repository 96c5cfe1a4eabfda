//! A VM on the engine alone.

use std::sync::Arc;

use uv_core::{Gfn, HostAddr, MemSlot, MemSlots, PageRange, PageSize, SlotId};
use uv_sim::bare::{BareAbilities, BareCall, BareVm, Image};
use uv_sim::{Engine, EngineConfig, HostMemory};

use super::{Guest, Memory, Op, Ready, WORK, work};
use uv_programs::Failure;
use uv_sim::guest::Step;

const IMAGE: u64 = 4;
const PAGES: u64 = 64;

/// A VM of a machine with these abilities and 4 KiB pages.
///
/// # Errors
/// Status 2 if the memory cannot be laid out.
pub fn bare(abilities: BareAbilities) -> Result<Ready<BareVm>, Failure> {
    let size = PageSize::K4;
    let engine = Arc::new(Engine::new(EngineConfig { page_size: size, frames: 256, seed: 1 }));
    let memory = Arc::new(HostMemory::new(PAGES << size.shift()));
    let mut slots = MemSlots::new(size);
    let slot = MemSlot { first: Gfn(0), pages: PAGES, host: HostAddr(0) };
    slots.insert(SlotId(0), slot).map_err(Failure::unusable)?;
    let vm = BareVm::with_abilities(engine, Arc::clone(&memory), slots, abilities);
    let enter = |first| Op::Do(Step::Call(BareCall::Enter(Image { pages: PageRange::new(Gfn(first), IMAGE) })));
    // An image that passes the end of memory, and a good one.
    let mut ops = vec![enter(PAGES - 1), enter(0)];
    ops.extend(work(size.addr(Gfn(IMAGE)), size, BareCall::Share(Gfn(IMAGE + WORK))));
    let mut guest = Guest::new(ops);
    let found = guest.found.clone();
    let cpu = vm.vcpu(Box::new(move |last| guest.next(last)));
    Ok(Ready { vm, cpu, memory: Memory(memory), shared: size.addr(Gfn(IMAGE + WORK)), found })
}
