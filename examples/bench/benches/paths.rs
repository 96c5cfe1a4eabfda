//! The same paths with Criterion's statistics: `cargo bench -p uv-bench --features criterion`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use uv_core::{Gfn, HostAddr, PageRange, PageSize};
use uv_crypto::digest::Sha512;
use uv_crypto::{BATCH, CcmKey, MacKey, XtsKey};
use uv_sim::seal::Suite;
use uv_sim::{Engine, EngineConfig, HostMemory};

const PAGE: usize = 4096;
const BYTES: usize = BATCH * PAGE;

fn ciphers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ciphers");
    group.throughput(Throughput::Bytes(BYTES as u64));
    let key: [u8; 64] = std::array::from_fn(|at| at.to_le_bytes()[0]);
    let xts = XtsKey::new(&key);
    let tweak = |page: u64| u128::from(page).to_le_bytes();
    let mut pages = vec![1; BYTES];
    group.bench_function("xts enc", |b| b.iter(|| xts.encrypt_range_in_place(PAGE, tweak, &mut pages).expect("pages")));
    group.bench_function("xts dec", |b| b.iter(|| xts.decrypt_range_in_place(PAGE, tweak, &mut pages).expect("pages")));
    let source = pages.clone();
    let source: Vec<&[u8]> = source.chunks(PAGE).collect();
    let (ccm, mac, mut tags) = (CcmKey::new(&[3; 32]), MacKey::new(&[3; 48]), [[0; 16]; BATCH]);
    group.bench_function("ccm seal", |b| {
        b.iter(|| {
            let mut to: Vec<&mut [u8]> = pages.chunks_mut(PAGE).collect();
            ccm.seal_pages(&[[1; 12]; BATCH], &[[2; 8]; BATCH], &source, &mut to, &mut tags).expect("pages");
        });
    });
    group.bench_function("page tags", |b| {
        b.iter(|| mac.tags(&source, &[[0; 16]; BATCH], &mut tags).expect("pages"));
    });
    group.bench_function("sha512", |b| {
        b.iter(|| {
            let mut hash = Sha512::new();
            source.iter().for_each(|page| hash.update(page));
            black_box(hash.finish())
        });
    });
    group.finish();
}

fn paging(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("page-out and page-in");
    for (page_size, suite) in [(PageSize::K4, Suite::Aes256XtsPolyval), (PageSize::K64, Suite::Aes256Ccm)] {
        let pages = (8 << 20) >> page_size.shift();
        let frames = u32::try_from(pages).expect("few pages") + 32;
        let space = Engine::new(EngineConfig { page_size, frames, seed: 1 }).create_space(pages, suite);
        let memory = HostMemory::new(8 << 20);
        (0..pages).for_each(|page| space.zero_in(Gfn(page)).expect("a frame"));
        let all = PageRange::new(Gfn(0), pages);
        group.throughput(Throughput::Bytes(8 << 20));
        group.bench_function(format!("{suite:?}"), |b| {
            b.iter(|| {
                space.seal_out(all, &memory, HostAddr(0)).expect("all secure");
                space.open_in(all, &memory, HostAddr(0)).expect("all sealed");
            });
        });
    }
    group.finish();
}

criterion_group!(paths, ciphers, paging);
criterion_main!(paths);
