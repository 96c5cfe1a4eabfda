//! The ciphers against the plain crates in the same run: a regression shows on any machine, however busy it is.
//!
//! For release builds: `cargo test --release -p uv-crypto --test faster_than_plain -- --ignored`.

use std::hint::black_box;
use std::time::Instant;

use aes::Aes256;
use ccm::aead::inout::InOutBuf;
use ccm::{AeadInOut, Ccm};
use cipher::KeyInit;
use cipher::array::Array;
use cipher::consts::{U12, U16};
use sha2::Digest;
use uv_crypto::digest::Sha512;
use uv_crypto::{CcmKey, MacKey, XtsKey};
use xts_mode::Xts128;

const PAGE: usize = 4096;
const PAGES: usize = 16;
const ROUNDS: usize = 41;

/// Median over the rounds of their time against ours, in turn.
fn gain(mut ours: impl FnMut(), mut theirs: impl FnMut()) -> f64 {
    let time = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..8).for_each(|_| work());
        start.elapsed().as_secs_f64()
    };
    let mut gains: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let ours = time(&mut ours);
            time(&mut theirs) / ours
        })
        .collect();
    gains.sort_by(f64::total_cmp);
    gains[ROUNDS / 2]
}

fn at_least(name: &str, gain: f64, least: f64) {
    println!("{name}: {gain:.2} times the plain crate, at least {least}");
    assert!(gain >= least, "{name}: {gain:.2} times the plain crate, {least} is the least");
}

#[test]
#[ignore = "measures: for release builds"]
fn every_way_is_faster_than_the_plain_crate() {
    let (mut one, mut other) = (vec![1; PAGES * PAGE], vec![1; PAGES * PAGE]);
    let key: [u8; 64] = std::array::from_fn(|at| at.to_le_bytes()[0]);
    let (ours, half) = (XtsKey::new(&key), |at: usize| Aes256::new_from_slice(&key[at..at + 32]).expect("32 bytes"));
    let plain = Xts128::new(half(0), half(32));
    let tweak = |page: u64| u128::from(page).to_le_bytes();
    let xts = gain(
        || ours.encrypt_range_in_place(PAGE, tweak, &mut one).expect("whole pages"),
        || other.chunks_mut(PAGE).zip(0..).for_each(|(page, n)| plain.encrypt_sector(page, Array(tweak(n)))),
    );
    at_least("XTS, encrypt", xts, 2.5);
    let xts = gain(
        || ours.decrypt_range_in_place(PAGE, tweak, &mut one).expect("whole pages"),
        || other.chunks_mut(PAGE).zip(0..).for_each(|(page, n)| plain.decrypt_sector(page, Array(tweak(n)))),
    );
    at_least("XTS, decrypt", xts, 2.5);

    let ours = CcmKey::new(&[3; 32]);
    let plain = Ccm::<Aes256, U16, U12>::new(&Array([3; 32]));
    let nonces: [[u8; 12]; PAGES] = std::array::from_fn(|page| [page.to_le_bytes()[0]; 12]);
    let (source, mut tags) = (vec![5; PAGES * PAGE], [[0; 16]; PAGES]);
    let source: Vec<&[u8]> = source.chunks(PAGE).collect();
    let mut sealed = vec![0; PAGES * PAGE];
    let ccm = gain(
        || {
            let mut to: Vec<&mut [u8]> = sealed.chunks_mut(PAGE).collect();
            ours.seal_pages(&nonces, &[[0; 8]; PAGES], &source, &mut to, &mut tags).expect("whole pages");
        },
        || {
            for (page, nonce) in other.chunks_mut(PAGE).zip(&nonces) {
                let tag = plain.encrypt_inout_detached(&Array(*nonce), &[0; 8], InOutBuf::from(page));
                black_box(tag.expect("within the limit"));
            }
        },
    );
    at_least("CCM, 16 pages", ccm, 2.5);

    let pages: Vec<u8> = vec![9; PAGES * PAGE];
    let sha512 = gain(
        || {
            let mut hash = Sha512::new();
            hash.update(&pages);
            black_box(hash.finish());
        },
        || {
            black_box(sha2::Sha512::digest(&pages));
        },
    );
    at_least("SHA-512", sha512, 0.9);

    let mac = MacKey::new(&[1; 48]);
    let mac = gain(
        || mac.tags(&source, &[[0; 16]; PAGES], &mut [[0; 16]; PAGES]).expect("whole pages"),
        || {
            for page in &source {
                black_box(sha2::Sha256::digest(page));
            }
        },
    );
    at_least("page tags against SHA-256", mac, 1.5);
}
