//! AES-256-CCM over batches of pages of 4 KiB, 8 bytes of additional data.

use aes::Aes256;
use aes::cipher::consts::{U12, U16};
use aes::cipher::{Array, KeyInit};
use ccm::aead::inout::InOutBuf;
use ccm::{AeadInOut, Ccm as PlainCcm};
use uv_crypto::{CcmKey, CryptoError};

use crate::harness::{Arena, PAGE, SPAN, Work};
use crate::openssl_pages::{Ccm, Way};
use crate::table::Row;

type Plain = PlainCcm<Aes256, U16, U12>;

const KEY: [u8; 32] = [0x42; 32];
const PAGES: usize = SPAN / PAGE;

/// One page a call, 16 and 32.
pub(crate) fn rows(arena: &mut Arena) -> Result<Vec<Row>, Box<dyn std::error::Error>> {
    Ok(vec![
        seal("ccm seal, 1 page a call", 1, 0.95, arena)?,
        seal("ccm seal, 16 pages a call", 16, 5.5, arena)?,
        seal("ccm seal, 32 pages a call", 32, 5.5, arena)?,
        open("ccm open, 16 pages a call", 16, 5.5, arena)?,
        open("ccm open, 32 pages a call", 32, 5.5, arena)?,
    ])
}

fn nonce(page: usize) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[..8].copy_from_slice(&page.to_le_bytes());
    nonce
}

fn aad(page: usize) -> [u8; 8] {
    page.to_be_bytes()
}

fn seal(work: &'static str, batch: usize, limit: f64, arena: &mut Arena) -> Result<Row, Box<dyn std::error::Error>> {
    let ours = CcmKey::new(&KEY);
    let mut peer = Ccm::new(Way::Seal, &KEY)?;
    let plain = Plain::new(&Array(KEY));
    let mut tags = vec![[0; 16]; PAGES];
    let (mut sealed, mut opened) = (vec![0; SPAN], vec![0; SPAN]);
    let zeros = vec![0; SPAN];
    // The parties compute the same: else their times could not be compared.
    batches(&ours, Way::Seal, batch, &zeros, &mut sealed, &mut tags)?;
    for (index, tag) in tags.iter().enumerate().take(2) {
        let mut other = [0; 16];
        peer.page(&nonce(index), &aad(index), &zeros[..PAGE], &mut opened[..PAGE], &mut other)?;
        if *tag != other || opened[..PAGE] != sealed[index * PAGE..][..PAGE] {
            return Err("CCM: OpenSSL and this library differ".into());
        }
    }
    let mut parties: Vec<Work<'_>> = vec![
        Box::new(|src, dst| batches(&ours, Way::Seal, batch, src, dst, &mut tags).expect("whole pages")),
        Box::new(|src, dst| {
            for (index, (from, to)) in src.chunks(PAGE).zip(dst.chunks_mut(PAGE)).enumerate() {
                let mut tag = [0; 16];
                peer.page(&nonce(index), &aad(index), from, to, &mut tag).expect("OpenSSL seals a page");
            }
        }),
        Box::new(|src, dst| dst.copy_from_slice(src)),
        Box::new(|src, dst| {
            for (index, (from, to)) in src.chunks(PAGE).zip(dst.chunks_mut(PAGE)).enumerate() {
                let buffers = InOutBuf::new(from, to).expect("equal lengths");
                let tag = plain.encrypt_inout_detached(&Array(nonce(index)), &aad(index), buffers);
                std::hint::black_box(tag.expect("a page is within the limit"));
            }
        }),
    ];
    Ok(Row::new(work, &["openssl", "memcpy", "ccm"], limit, &arena.measure(&mut parties)))
}

/// Every turn opens the same sealed span, read anew from the arena's cold source after it was copied there.
fn open(work: &'static str, batch: usize, limit: f64, arena: &mut Arena) -> Result<Row, Box<dyn std::error::Error>> {
    let ours = CcmKey::new(&KEY);
    let mut peer = Ccm::new(Way::Open, &KEY)?;
    // All spans of the source hold the same sealed pages.
    let mut tags = vec![[0; 16]; PAGES];
    let plain: Vec<u8> = arena.source(|spans| {
        let (first, rest) = spans.split_at_mut(SPAN);
        let plain = first.to_vec();
        batches(&ours, Way::Seal, batch, &plain, first, &mut tags)?;
        for span in rest.chunks_mut(SPAN) {
            span.copy_from_slice(first);
        }
        Ok::<_, CryptoError>(plain)
    })?;
    let mut seen = tags.clone();
    let mut parties: Vec<Work<'_>> = vec![
        Box::new(|src, dst| batches(&ours, Way::Open, batch, src, dst, &mut seen).expect("our tags match")),
        Box::new(|src, dst| {
            for (index, (from, to)) in src.chunks(PAGE).zip(dst.chunks_mut(PAGE)).enumerate() {
                let mut tag = tags[index];
                peer.page(&nonce(index), &aad(index), from, to, &mut tag).expect("OpenSSL's tag matches ours");
            }
        }),
        Box::new(|src, dst| dst.copy_from_slice(src)),
    ];
    let row = Row::new(work, &["openssl", "memcpy"], limit, &arena.measure(&mut parties));
    drop(parties);
    arena.source(|spans| spans.chunks_mut(SPAN).for_each(|span| span.copy_from_slice(&plain)));
    Ok(row)
}

/// A span in batches; `tags` are written (seal) or compared (open).
fn batches(
    key: &CcmKey,
    way: Way,
    batch: usize,
    src: &[u8],
    dst: &mut [u8],
    tags: &mut [[u8; 16]],
) -> Result<(), CryptoError> {
    // The lists are made once for the span, so that they cost little even with one page a call.
    let nonces: Vec<_> = (0..tags.len()).map(nonce).collect();
    let aads: Vec<_> = (0..tags.len()).map(aad).collect();
    let src: Vec<_> = src.chunks(PAGE).collect();
    let mut dst: Vec<_> = dst.chunks_mut(PAGE).collect();
    let lists = nonces.chunks(batch).zip(aads.chunks(batch)).zip(src.chunks(batch));
    for (((nonces, aads), src), (dst, tags)) in lists.zip(dst.chunks_mut(batch).zip(tags.chunks_mut(batch))) {
        match way {
            Way::Seal => key.seal_pages(nonces, aads, src, dst, tags)?,
            Way::Open => {
                let failed = key.open_pages(nonces, aads, src, dst, tags)?;
                assert!(failed.is_none(), "tags of our own pages match");
            }
        }
    }
    Ok(())
}
