//! How fast whole pages move through the engine: claims, frames, records, cipher and copy together.
//!
//! Run with `cargo bench -p uv-sim --bench engine [-- ROUNDS]`. Each round copies, pages out and pages in the same 64 MiB once, in
//! turn; the ratios to the copy are taken inside a round and the medians shown. Only the ratios carry over.

use std::sync::Arc;
use std::time::Instant;

use uv_core::{Gfn, HostAddr, NormalMemory, PageRange, PageSize};
use uv_sim::seal::Suite;
use uv_sim::{Engine, EngineConfig, HostMemory, SecureSpace};

const BYTES: u64 = 64 << 20;

fn main() {
    if !std::env::args().any(|arg| arg == "--bench") {
        println!("nothing measured: run through `cargo bench -p uv-sim --bench engine`");
        return;
    }
    let rounds = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(7);
    for (page_size, suite) in [
        (PageSize::K4, Suite::Aes256XtsPolyval),
        (PageSize::K4, Suite::Aes256Ccm),
        (PageSize::K64, Suite::Aes256Ccm),
        (PageSize::K64, Suite::Aes128Gcm),
    ] {
        measure(page_size, suite, rounds);
        measure_single(page_size, suite, rounds);
    }
}

fn setup(page_size: PageSize, suite: Suite) -> (HostMemory, Arc<SecureSpace>, u64) {
    let pages = BYTES / page_size.size();
    let frames = u32::try_from(pages).expect("64 MiB of pages");
    let engine = Engine::new(EngineConfig { page_size, frames: frames + 64, seed: 1 });
    let space = engine.create_space(pages, suite);
    let memory = HostMemory::new(2 * BYTES);
    let fill = vec![0x5a; 1 << 20];
    (0..2 * BYTES).step_by(1 << 20).for_each(|at| memory.write(HostAddr(at), &fill).expect("in range"));
    (0..pages).for_each(|page| space.zero_in(Gfn(page)).expect("a frame for every page"));
    (memory, space, pages)
}

/// Ranges of all pages at once.
fn measure(page_size: PageSize, suite: Suite, rounds: usize) {
    let (memory, space, pages) = setup(page_size, suite);
    let all = PageRange::new(Gfn(0), pages);
    report(&format!("{suite:?}, {} KiB pages, one range", page_size.bytes() >> 10), &memory, rounds, |out| {
        if out {
            space.seal_out(all, &memory, HostAddr(0)).expect("all secure");
        } else {
            space.open_in(all, &memory, HostAddr(0)).expect("all sealed");
        }
    });
}

/// One page a call.
fn measure_single(page_size: PageSize, suite: Suite, rounds: usize) {
    let (memory, space, pages) = setup(page_size, suite);
    report(&format!("{suite:?}, {} KiB pages, one page a call", page_size.bytes() >> 10), &memory, rounds, |out| {
        for page in 0..pages {
            let (one, at) = (Gfn(page).into(), HostAddr(page << page_size.shift()));
            if out {
                space.seal_out(one, &memory, at).expect("secure");
            } else {
                space.open_in(one, &memory, at).expect("sealed");
            }
        }
    });
}

fn report(name: &str, memory: &HostMemory, rounds: usize, mut work: impl FnMut(bool)) {
    let mut copies = Vec::new();
    let (mut outs, mut ins) = (Vec::new(), Vec::new());
    let mut buffer = vec![1_u8; 1 << 16];
    for _ in 0..rounds {
        let copy = time(|| {
            for at in (0..BYTES).step_by(buffer.len()) {
                memory.read(HostAddr(at), &mut buffer).expect("in range");
                memory.write(HostAddr(BYTES + at), &buffer).expect("in range");
            }
        });
        let out = time(|| work(true));
        let back = time(|| work(false));
        copies.push(rate(copy));
        outs.push((rate(out), copy / out));
        ins.push((rate(back), copy / back));
    }
    let (out, out_ratio) = medians(outs);
    let (back, back_ratio) = medians(ins);
    println!("{name}: out {out:.0} MB/s ({out_ratio:.2} of a copy), in {back:.0} MB/s ({back_ratio:.2} of a copy)");
}

fn time(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

fn rate(seconds: f64) -> f64 {
    f64::from(u32::try_from(BYTES >> 20).expect("64")) * 1.048_576 / seconds
}

fn medians(mut pairs: Vec<(f64, f64)>) -> (f64, f64) {
    let middle = pairs.len() / 2;
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let rate = pairs[middle].0;
    pairs.sort_by(|a, b| a.1.total_cmp(&b.1));
    (rate, pairs[middle].1)
}
