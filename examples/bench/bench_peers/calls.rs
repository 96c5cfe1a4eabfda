//! Calls that move no page, and what a page costs.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use uv_core::{Gfn, HostAddr, MemSlot, MemSlots, PageRange, PageSize, SlotId};
use uv_s390::sim::MachineConfig;
use uv_sim::seal::Suite;
use uv_sim::{Engine, EngineConfig, HostMemory, Label, SecureSpace};

use crate::harness::{Arena, median, thread_seconds};
use crate::power::Power;
use crate::table::Row;
use crate::z::Z;

const ROUNDS: usize = 9;
/// Calls of one turn.
const CALLS: u32 = 1 << 20;

/// All rows, in millions of calls a second, nanoseconds, bytes and milliseconds.
pub(crate) fn rows(arena: &mut Arena) -> Result<Vec<Row>, Box<dyn Error>> {
    let _ = arena;
    let mut rows = Vec::new();
    rows.extend(engine());
    let z = Z::new(MachineConfig::new(1), 256 << 20)?;
    let pages = (256 << 20) >> 12;
    (0..pages).for_each(|page| z.import(page));
    rows.push(Row::alone("calls, Z: CONV_TO_SEC_STOR of random pages", "M/s", rate(|page| z.import(page), pages), 8.0));
    drop(z);
    let power = Power::new(1024)?;
    (0..1024).for_each(|page| power.page_out(page));
    rows.push(Row::alone("calls, POWER: UV_PAGE_OUT of random pages", "M/s", rate(|page| power.look(page), 1024), 8.0));
    rows.push(slots()?);
    rows.extend(memory()?);
    Ok(rows)
}

/// A walk over `pages` in an order that no prefetcher knows.
fn walk(seed: u32, pages: u64, mut act: impl FnMut(u64)) {
    let mut state = u64::from(seed) | 1;
    for _ in 0..CALLS {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        act((state >> 33) % pages);
    }
}

/// Millions of calls a second of one thread.
fn rate(act: impl Fn(u64), pages: u64) -> f64 {
    let seconds = (0..ROUNDS).map(|round| thread_seconds(|| walk(u32::try_from(round).unwrap_or(0), pages, &act)));
    f64::from(CALLS) / 1e6 / median(seconds.collect())
}

/// A VM of a million shared pages: they cost no frame.
fn million() -> (Arc<SecureSpace>, u64) {
    let pages = 1 << 20;
    let space = Engine::new(EngineConfig { page_size: PageSize::K4, frames: 64, seed: 1 })
        .create_space(pages, Suite::Aes256XtsPolyval);
    let memory = HostMemory::new(pages << 12);
    for page in 0..pages {
        let normal = HostAddr(page << 12);
        space.share(Gfn(page), &memory, normal, uv_sim::Content::Zeroed).expect("an absent page");
    }
    (space, pages)
}

fn engine() -> Vec<Row> {
    let (space, pages) = million();
    let change = |page: u64| space.set_label(Gfn(page), Label(1)).expect("a page of the VM");
    let one = rate(change, pages);
    let look = rate(
        |page| {
            std::hint::black_box(space.state(Gfn(page)).expect("a page of the VM"));
        },
        pages,
    );
    // Two threads on halves of the pages: their CPU time against that of the same work on one.
    let (mut alone, mut both) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let half = |half: u64| walk(3, pages / 2, |page| change(half * pages / 2 + page));
        alone.push(thread_seconds(|| {
            half(0);
            half(1);
        }));
        let took = std::thread::scope(|scope| {
            let threads = [0, 1].map(|number| scope.spawn(move || thread_seconds(|| half(number))));
            threads.map(|thread| thread.join().expect("no call fails"))
        });
        both.push(took[0].max(took[1]));
    }
    let gain = median(alone.iter().zip(&both).map(|(alone, both)| alone / both).collect());
    vec![
        Row::alone("calls, engine: state of random pages", "M/s", look, 140.0),
        Row::alone("calls, engine: a change of random pages", "M/s", one, 70.0),
        Row::alone("calls, engine: two threads against one", "x", gain, 2.0),
    ]
}

/// Nanoseconds of a look-up among as many slots as KVM allows.
fn slots() -> Result<Row, Box<dyn Error>> {
    const SLOTS: u16 = 32_764;
    let mut slots = MemSlots::new(PageSize::K4);
    for id in 0..SLOTS {
        let first = Gfn(u64::from(id) * 4);
        slots.insert(SlotId(id), MemSlot { first, pages: 4, host: HostAddr(first.0 << 12) })?;
    }
    let rate = rate(
        |page| {
            std::hint::black_box(slots.host_page(Gfn(page)).expect("a page of a slot"));
        },
        u64::from(SLOTS) * 4,
    );
    Ok(Row::alone("calls: look-up among 32,764 memory slots", "M/s", rate, 20.0))
}

fn memory() -> Result<Vec<Row>, Box<dyn Error>> {
    let engine = Engine::new(EngineConfig { page_size: PageSize::K4, frames: 64, seed: 1 });
    let start = Instant::now();
    let space = engine.create_space(1 << 28, Suite::Aes256XtsPolyval);
    let created = start.elapsed().as_secs_f64() * 1e3;
    drop(space);
    let pages = 1 << 20;
    let before = resident()?;
    let space = engine.create_space(pages, Suite::Aes256XtsPolyval);
    let memory = HostMemory::new(1 << 16);
    let each =
        |before: u64, after: u64| f64::from(u32::try_from(after - before).unwrap_or(u32::MAX)) / f64::from(1 << 20);
    for page in 0..pages {
        space.share(Gfn(page), &memory, HostAddr(0), uv_sim::Content::Zeroed)?;
    }
    let table = each(before, resident()?);
    for page in 0..pages {
        space.destroy(Gfn(page))?;
        space.zero_in(Gfn(page))?;
        space.seal_out(PageRange::from(Gfn(page)), &memory, HostAddr(0)).map_err(|error| error.error)?;
    }
    let sealed = each(before, resident()?);
    Ok(vec![
        Row::alone("calls: creating a VM of 1 TiB (elapsed)", "ms", created, 10.0),
        Row::alone("calls: memory for a touched page", "bytes", table, 8.0),
        Row::alone("calls: memory for a sealed page", "bytes", sealed, 32.0),
    ])
}

/// Bytes of this process that are in memory.
fn resident() -> Result<u64, Box<dyn Error>> {
    let pages = std::fs::read_to_string("/proc/self/statm")?;
    Ok(pages.split(' ').nth(1).ok_or("no second field")?.parse::<u64>()? * 4096)
}
