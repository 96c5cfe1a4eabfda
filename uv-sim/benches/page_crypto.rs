//! How fast pages are sealed and opened, beside the plain crates, a copy, and OpenSSL where it is installed.
//!
//! Run with `cargo bench -p uv-sim --bench page_crypto [-- ROUNDS] [xts|ccm|gcm|sealer ...]`. Every line of a group is measured once in each round, in turn, over
//! buffers much larger than the caches, on one thread; ratios are taken inside a round, and the medians over all rounds are
//! shown. Only the ratios carry over to another machine. OpenSSL's own program works on one page that stays in the cache
//! and in place, which favours it.

use core::hint::black_box;
use std::process::Command;
use std::time::Instant;

use aes::Aes256;
use aes_gcm::Aes128Gcm;
use ccm::aead::AeadInOut;
use cipher::KeyInit;
use cipher::array::Array;
use cipher::consts::{U12, U16};
use cipher::inout::InOutBuf;
use uv_crypto::{BATCH, CcmKey, Gcm128Key, XtsKey};
use uv_sim::rng::SimRng;
use uv_sim::seal::{PageSealer, SealRecord, Suite};

/// Bytes of each of the two buffers.
const BUFFER: usize = 64 << 20;

/// One line: a name, and a run over all pages (source, destination, page length).
type Work<'a> = (&'a str, Box<dyn FnMut(&[u8], &mut [u8]) + 'a>);

type Group = fn(usize, usize, &mut [u8], &mut [u8]);

fn main() {
    // `cargo bench` passes this; a test run over all targets does not, and must not take minutes.
    if !std::env::args().any(|arg| arg == "--bench") {
        println!("nothing measured: run through `cargo bench -p uv-sim --bench page_crypto`");
        return;
    }
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let rounds = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(5);
    let names: Vec<&String> = args.iter().filter(|arg| arg.parse::<usize>().is_err()).collect();
    let groups: [(&str, Group); 4] = [("xts", xts), ("ccm", ccm), ("gcm", gcm), ("sealer", sealers)];
    let mut src = vec![0x5a; BUFFER];
    let mut dst = vec![0xa5; BUFFER];
    for page in [4096, 65536] {
        for (name, group) in groups {
            if names.is_empty() || names.iter().any(|wanted| *wanted == name) {
                group(page, rounds, &mut src, &mut dst);
            }
        }
    }
}

fn xts(page: usize, rounds: usize, src: &mut [u8], dst: &mut [u8]) {
    let key = XtsKey::new(&[7; 64]);
    let plain = xts_mode::Xts128::new(Aes256::new(&Array([7; 32])), Aes256::new(&Array([7; 32])));
    let tweak = |index: usize| (index as u128).to_be_bytes();
    let mut encrypt: Vec<Work<'_>> = vec![
        copy(page),
        (
            "xts-mode, copy then encrypt",
            Box::new(|src, dst| {
                for (index, (from, to)) in src.chunks(page).zip(dst.chunks_mut(page)).enumerate() {
                    to.copy_from_slice(from);
                    plain.encrypt_sector(to, Array(tweak(index)));
                }
            }),
        ),
        (
            "encrypt_page",
            Box::new(|src, dst| {
                for (index, (from, to)) in src.chunks(page).zip(dst.chunks_mut(page)).enumerate() {
                    key.encrypt_page(tweak(index), from, to).expect("whole pages");
                }
            }),
        ),
        (
            "encrypt_range",
            Box::new(|src, dst| {
                key.encrypt_range(page, |index| u128::from(index).to_be_bytes(), src, dst).expect("whole pages");
            }),
        ),
        (
            "encrypt_page_in_place, hot",
            Box::new(|src, dst| {
                for index in 0..src.len() / page {
                    key.encrypt_page_in_place(tweak(index), &mut dst[..page]).expect("a whole page");
                }
            }),
        ),
    ];
    group("AES-256-XTS encrypt", page, rounds, &mut encrypt, &["-evp", "aes-256-xts"], src, dst);
    drop(encrypt);
    let mut decrypt: Vec<Work<'_>> = vec![
        copy(page),
        (
            "xts-mode, copy then decrypt",
            Box::new(|src, dst| {
                for (index, (from, to)) in src.chunks(page).zip(dst.chunks_mut(page)).enumerate() {
                    to.copy_from_slice(from);
                    plain.decrypt_sector(to, Array(tweak(index)));
                }
            }),
        ),
        (
            "decrypt_range",
            Box::new(|src, dst| {
                key.decrypt_range(page, |index| u128::from(index).to_be_bytes(), src, dst).expect("whole pages");
            }),
        ),
        (
            "decrypt_page_in_place, hot",
            Box::new(|src, dst| {
                for index in 0..src.len() / page {
                    key.decrypt_page_in_place(tweak(index), &mut dst[..page]).expect("a whole page");
                }
            }),
        ),
    ];
    group("AES-256-XTS decrypt", page, rounds, &mut decrypt, &["-evp", "aes-256-xts", "-decrypt"], src, dst);
}

fn ccm(page: usize, rounds: usize, src: &mut [u8], dst: &mut [u8]) {
    type Plain = ccm::Ccm<Aes256, U16, U12>;
    let plain = Plain::new(&Array([7; 32]));
    let key = CcmKey::new(&[7; 32]);
    let sealing = |batch: usize| -> Work<'_> {
        let key = &key;
        let name = ["seal_pages, 1 page", "seal_pages, 4 pages", "seal_pages, 8 pages", "seal_pages, 32 pages"];
        (
            name[match batch {
                1 => 0,
                4 => 1,
                8 => 2,
                _ => 3,
            }],
            Box::new(move |src, dst| {
                let mut tags = [[0; 16]; BATCH];
                batches(page, batch, src, dst, |_, src, dst| {
                    let n = src.len();
                    let (nonces, aads) = (&[[1; 12]; BATCH][..n], &[[2; 16]; BATCH][..n]);
                    key.seal_pages(nonces, aads, src, dst, &mut tags[..n]).expect("a batch of pages");
                });
                black_box(tags);
            }),
        )
    };
    let mut lines: Vec<Work<'_>> = vec![
        copy(page),
        (
            "ccm, copy then seal",
            Box::new(|src, dst| {
                for (from, to) in src.chunks(page).zip(dst.chunks_mut(page)) {
                    let tag = plain.encrypt_inout_detached(&Array([1; 12]), &[2; 16], pair(from, to));
                    black_box(tag.expect("short page"));
                }
            }),
        ),
        sealing(1),
        sealing(4),
        sealing(8),
        sealing(BATCH),
        (
            "open_pages, 32 pages",
            Box::new(|src, dst| {
                batches(page, BATCH, src, dst, |_, src, dst| {
                    let (nonces, aads, tags) = ([[1; 12]; BATCH], [[2; 16]; BATCH], [[0; 16]; BATCH]);
                    // The tags are wrong on purpose: the work is the same, and so is the zeroing of a failed page on top.
                    let failed = key.open_pages(&nonces, &aads, src, dst, &tags).expect("a batch of pages");
                    black_box(failed.count());
                });
            }),
        ),
    ];
    group("AES-256-CCM", page, rounds, &mut lines, &["-evp", "aes-256-ccm"], src, dst);
}

fn gcm(page: usize, rounds: usize, src: &mut [u8], dst: &mut [u8]) {
    let plain = Aes128Gcm::new(&Array([7; 16]));
    let key = Gcm128Key::new(&[7; 16]);
    let mut lines: Vec<Work<'_>> = vec![
        copy(page),
        (
            "aes-gcm, seal",
            Box::new(|src, dst| {
                for (from, to) in src.chunks(page).zip(dst.chunks_mut(page)) {
                    let tag = plain.encrypt_inout_detached(&Array([1; 12]), &[], pair(from, to));
                    black_box(tag.expect("short page"));
                }
            }),
        ),
        (
            "seal_pages, 32 pages",
            Box::new(|src, dst| {
                let mut tags = [[0; 16]; BATCH];
                batches(page, BATCH, src, dst, |_, src, dst| {
                    let aads = [[].as_slice(); BATCH];
                    key.seal_pages(&[[1; 12]; BATCH], &aads, src, dst, &mut tags).expect("a batch of pages");
                });
                black_box(tags);
            }),
        ),
    ];
    group("AES-128-GCM", page, rounds, &mut lines, &["-aead", "-evp", "aes-128-gcm"], src, dst);
}

fn sealers(page: usize, rounds: usize, src: &mut [u8], dst: &mut [u8]) {
    for suite in [Suite::Aes256XtsPolyval, Suite::Aes256Ccm, Suite::Aes128Gcm] {
        let sealer = PageSealer::generate(suite, page, 1, &mut SimRng::from_seed(1)).expect("a page size");
        let records = core::cell::RefCell::new(vec![SealRecord::default(); BUFFER / page]);
        // Sealed pages go to `dst`; opening reads them from there, so that every page opens.
        let mut lines: Vec<Work<'_>> = vec![
            copy(page),
            (
                "seal_range",
                Box::new(|src, dst| {
                    let mut records = records.borrow_mut();
                    batches(page, BATCH, src, dst, |first, src, dst| {
                        let records = &mut records[first..first + src.len()];
                        sealer.seal_range(first as u64, |i| (first + i) as u64, src, dst, records).expect("in range");
                    });
                }),
            ),
        ];
        group(&format!("PageSealer {suite:?}, out"), page, rounds, &mut lines, &[], src, dst);
        let mut lines: Vec<Work<'_>> = vec![
            copy(page),
            (
                "open_range",
                Box::new(|src, dst| {
                    let records = records.borrow();
                    batches(page, BATCH, src, dst, |first, src, dst| {
                        let records = &records[first..first + src.len()];
                        let failed = sealer.open_range(first as u64, records, src, dst).expect("in range");
                        assert!(failed.is_none(), "every page opens");
                    });
                }),
            ),
        ];
        let mut sealed = vec![0; BUFFER];
        let mut seal = records.borrow_mut();
        batches(page, BATCH, src, &mut sealed, |first, src, dst| {
            let records = &mut seal[first..first + src.len()];
            sealer.seal_range(first as u64, |i| (first + i) as u64, src, dst, records).expect("in range");
        });
        drop(seal);
        group(&format!("PageSealer {suite:?}, in"), page, rounds, &mut lines, &[], &sealed, dst);
    }
}

fn pair<'i, 'o>(src: &'i [u8], dst: &'o mut [u8]) -> InOutBuf<'i, 'o, u8> {
    InOutBuf::new(src, dst).expect("two pages of one length")
}

fn copy<'a>(page: usize) -> Work<'a> {
    (
        "memcpy",
        Box::new(move |src, dst| {
            for (from, to) in src.chunks(page).zip(dst.chunks_mut(page)) {
                black_box(to).copy_from_slice(from);
            }
        }),
    )
}

/// Cuts both buffers into batches of page slices, as an owner of separate frames would hold them.
fn batches(
    page: usize,
    batch: usize,
    src: &[u8],
    dst: &mut [u8],
    mut each: impl FnMut(usize, &[&[u8]], &mut [&mut [u8]]),
) {
    let mut first = 0;
    for (src, dst) in src.chunks(page * batch).zip(dst.chunks_mut(page * batch)) {
        let mut from = [[].as_slice(); BATCH];
        let mut to = [const { [].as_mut_slice() }; BATCH];
        let count = src.len() / page;
        from.iter_mut().zip(src.chunks(page)).for_each(|(slot, page)| *slot = page);
        to.iter_mut().zip(dst.chunks_mut(page)).for_each(|(slot, page)| *slot = page);
        each(first, &from[..count], &mut to[..count]);
        first += count;
    }
}

/// Measures the lines of one group in turn and prints medians; line 0 is the copy, line 1 the plain crate.
fn group(
    title: &str,
    page: usize,
    rounds: usize,
    lines: &mut [Work<'_>],
    openssl: &[&str],
    src: &[u8],
    dst: &mut [u8],
) {
    let megabytes = f64::from(u32::try_from(BUFFER).expect("a buffer below 4 GiB")) / 1e6;
    let mut speeds = vec![Vec::new(); lines.len() + 1];
    for _ in 0..rounds {
        for ((_, run), speeds) in lines.iter_mut().zip(&mut speeds) {
            let start = Instant::now();
            run(src, dst);
            speeds.push(megabytes / start.elapsed().as_secs_f64());
            black_box(&dst);
        }
        if !openssl.is_empty() {
            speeds[lines.len()].extend(openssl_speed(openssl, page));
        }
    }
    let openssl = speeds.pop().unwrap_or_default();
    println!("\n{title}, pages of {page} bytes");
    println!("{:<30} {:>8} {:>10} {:>12} {:>10}", "", "MB/s", "/ memcpy", "/ 2nd line", "/ openssl");
    for ((name, _), line) in lines.iter().zip(&speeds) {
        let ratio = |base: &[f64]| {
            if base.len() < line.len() { f64::NAN } else { median(line.iter().zip(base).map(|(a, b)| a / b)) }
        };
        println!(
            "{name:<30} {:>8.0} {:>10.2} {:>12.2} {:>10.2}",
            median(line.iter().copied()),
            ratio(&speeds[0]),
            ratio(&speeds[1]),
            ratio(&openssl)
        );
    }
    if !openssl.is_empty() {
        println!("{:<30} {:>8.0}", "openssl speed", median(openssl.iter().copied()));
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// One second of `openssl speed`; nothing if the program is missing or its answer is not understood.
fn openssl_speed(args: &[&str], page: usize) -> Option<f64> {
    let output = Command::new("openssl")
        .args(["speed", "-mr", "-elapsed", "-seconds", "1", "-bytes", &page.to_string()])
        .args(args)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().rfind(|line| line.starts_with("+F:"))?;
    let speed: f64 = line.rsplit(':').next()?.trim().parse().ok()?;
    Some(speed / 1e6)
}
