//! AES-256-XTS over pages of 4 KiB.

use std::array;

use aes::Aes256;
use aes::cipher::{Array, KeyInit};
use openssl::error::ErrorStack;
use uv_crypto::{CryptoError, XtsKey};
use xts_mode::Xts128;

use crate::harness::{Arena, PAGE, Work};
use crate::openssl_pages::{Way, Xts};
use crate::table::Row;

/// In place, and out of place against the best of copy and cipher.
pub(crate) fn rows(arena: &mut Arena) -> Result<Vec<Row>, Box<dyn std::error::Error>> {
    let key: [u8; 64] = array::from_fn(|at| at.to_le_bytes()[0]);
    check(&key)?;
    Ok(vec![
        in_place("xts enc, in place", Way::Seal, &key, arena)?,
        in_place("xts dec, in place", Way::Open, &key, arena)?,
        copying("xts enc, out of place", Way::Seal, &key, arena)?,
        copying("xts dec, out of place", Way::Open, &key, arena)?,
    ])
}

fn tweak(page: u64) -> [u8; 16] {
    u128::from(page).to_le_bytes()
}

fn in_place(work: &'static str, way: Way, key: &[u8; 64], arena: &mut Arena) -> Result<Row, ErrorStack> {
    let ours = XtsKey::new(key);
    let mut peer = Xts::new(way, key)?;
    let plain = plain(key);
    let mut parties: Vec<Work<'_>> = vec![
        Box::new(|_, pages| {
            let done = match way {
                Way::Seal => ours.encrypt_range_in_place(PAGE, tweak, pages),
                Way::Open => ours.decrypt_range_in_place(PAGE, tweak, pages),
            };
            done.expect("whole pages");
        }),
        Box::new(|_, pages| {
            for (page, index) in pages.chunks_mut(PAGE).zip(0..) {
                peer.page_in_place(&tweak(index), page).expect("OpenSSL ciphers a page");
            }
        }),
        Box::new(|_, pages| plain_pages(&plain, way, pages)),
    ];
    Ok(Row::new(work, &["openssl", "xts-mode"], 2.0, &arena.measure(&mut parties)))
}

fn copying(work: &'static str, way: Way, key: &[u8; 64], arena: &mut Arena) -> Result<Row, ErrorStack> {
    let ours = XtsKey::new(key);
    let (mut direct, mut after_copy) = (Xts::new(way, key)?, Xts::new(way, key)?);
    let plain = plain(key);
    let mut parties: Vec<Work<'_>> = vec![
        Box::new(|src, dst| range(&ours, way, src, dst).expect("whole pages")),
        Box::new(|src, dst| {
            for ((from, to), index) in src.chunks(PAGE).zip(dst.chunks_mut(PAGE)).zip(0..) {
                direct.page(&tweak(index), from, to).expect("OpenSSL ciphers a page");
            }
        }),
        Box::new(|src, dst| {
            for ((from, to), index) in src.chunks(PAGE).zip(dst.chunks_mut(PAGE)).zip(0..) {
                to.copy_from_slice(from);
                after_copy.page_in_place(&tweak(index), to).expect("OpenSSL ciphers a page");
            }
        }),
        Box::new(|src, dst| dst.copy_from_slice(src)),
        Box::new(|src, dst| {
            dst.copy_from_slice(src);
            plain_pages(&plain, way, dst);
        }),
    ];
    let peers = ["openssl", "copy+openssl", "memcpy", "copy+xts-mode"];
    Ok(Row::new(work, &peers, 1.9, &arena.measure(&mut parties)))
}

fn range(key: &XtsKey, way: Way, src: &[u8], dst: &mut [u8]) -> Result<(), CryptoError> {
    match way {
        Way::Seal => key.encrypt_range(PAGE, tweak, src, dst),
        Way::Open => key.decrypt_range(PAGE, tweak, src, dst),
    }
}

fn plain(key: &[u8; 64]) -> Xts128<Aes256> {
    let half = |first: usize| Aes256::new(&Array(array::from_fn(|at| key[first + at])));
    Xts128::new(half(0), half(32))
}

fn plain_pages(cipher: &Xts128<Aes256>, way: Way, pages: &mut [u8]) {
    for (page, index) in pages.chunks_mut(PAGE).zip(0..) {
        match way {
            Way::Seal => cipher.encrypt_sector(page, Array(tweak(index))),
            Way::Open => cipher.decrypt_sector(page, Array(tweak(index))),
        }
    }
}

/// The parties compute the same: else their times could not be compared.
fn check(key: &[u8; 64]) -> Result<(), Box<dyn std::error::Error>> {
    let src: Vec<u8> = (0..4 * PAGE).map(|at| (at >> 3).to_le_bytes()[0]).collect();
    let (mut ours, mut peer) = (vec![0; src.len()], vec![0; src.len()]);
    for way in [Way::Seal, Way::Open] {
        range(&XtsKey::new(key), way, &src, &mut ours)?;
        let mut openssl = Xts::new(way, key)?;
        for ((from, to), index) in src.chunks(PAGE).zip(peer.chunks_mut(PAGE)).zip(0..) {
            openssl.page(&tweak(index), from, to)?;
        }
        if ours != peer {
            return Err("XTS: OpenSSL and this library differ".into());
        }
    }
    Ok(())
}
