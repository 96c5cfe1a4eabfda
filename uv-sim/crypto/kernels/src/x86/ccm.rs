//! AES-256-CCM (SP 800-38C): the chains of up to 16 pages in the lanes of up to four vectors, and between their rounds the key
//! stream of the same pages, one column of 64 bytes a page ahead.
//!
//! A round of one chain waits for the round before. Rounds of other chains and of the key stream do not: they fill the time.

use core::arch::x86_64::*;
use core::array;
use core::fmt;

use super::Found;
use super::keys::Schedule;
use super::vector::{Line, fetch_second, four, load, store, transpose, xor, xor3};
use crate::{CcmBatch, Direction};

/// Pages in the lanes of one vector.
const LANES: usize = 4;

/// Pages at a time: four vectors of chains hide the latency of a round.
const GROUP: usize = 4 * LANES;

/// How many columns ahead of the one at work memory is asked for.
const AHEAD: usize = 6;

/// AES-256-CCM over pages side by side. The key is wiped on drop; `Debug` shows nothing.
pub struct Ccm {
    found: Found,
    keys: Schedule,
}

impl fmt::Debug for Ccm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ccm(..)")
    }
}

impl Ccm {
    /// Expands the key; `None` where the processor has no units for it.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Option<Self> {
        let found = Found::new()?;
        Some(Self { found, keys: Schedule::encrypting(found, key) })
    }

    /// Ciphers the pages and writes their tags.
    ///
    /// # Panics
    /// If a list is shorter than `src`, or a page has not the length of the first.
    #[allow(unsafe_code, reason = "calls functions compiled for units that were found at run time")]
    pub fn run(&self, batch: CcmBatch<'_, '_>) {
        let Found(()) = self.found;
        let CcmBatch { direction, header, counters, src, dst, tags } = batch;
        let mut rest = dst;
        for (n, tags) in tags.chunks_mut(GROUP).enumerate() {
            let first = n * GROUP;
            let end = first + tags.len();
            let (dst, behind) = rest.split_at_mut(tags.len());
            let after = After::new(&src[end..], behind);
            let group =
                Group { header, first, counters: &counters[first..end], src: &src[first..end], dst, tags, after };
            match (direction, group.src.len().div_ceil(LANES)) {
                // SAFETY: `Found` shows that the processor has the units.
                (Direction::Seal, 1) => unsafe { run::<1, true>(&self.keys, group) },
                // SAFETY: as above.
                (Direction::Seal, 2) => unsafe { run::<2, true>(&self.keys, group) },
                // SAFETY: as above.
                (Direction::Seal, 3) => unsafe { run::<3, true>(&self.keys, group) },
                // SAFETY: as above.
                (Direction::Seal, _) => unsafe { run::<4, true>(&self.keys, group) },
                // SAFETY: as above.
                (Direction::Open, 1) => unsafe { run::<1, false>(&self.keys, group) },
                // SAFETY: as above.
                (Direction::Open, 2) => unsafe { run::<2, false>(&self.keys, group) },
                // SAFETY: as above.
                (Direction::Open, 3) => unsafe { run::<3, false>(&self.keys, group) },
                // SAFETY: as above.
                (Direction::Open, _) => unsafe { run::<4, false>(&self.keys, group) },
            }
            rest = behind;
        }
    }
}

/// Up to 16 pages.
struct Group<'g, 'b> {
    header: &'g [&'g [[u8; 16]]],
    /// Which block of a header row the first page has.
    first: usize,
    counters: &'g [[u8; 16]],
    src: &'g [&'g [u8]],
    dst: &'g mut [&'b mut [u8]],
    tags: &'g mut [[u8; 16]],
    after: After,
}

/// Where the pages of the next group begin; where there is none, any address.
struct After {
    src: [*const u8; GROUP],
    dst: [*const u8; GROUP],
}

impl After {
    fn new(src: &[&[u8]], dst: &[&mut [u8]]) -> Self {
        Self {
            src: array::from_fn(|page| src.get(page).map_or(core::ptr::null(), |page| page.as_ptr())),
            dst: array::from_fn(|page| dst.get(page).map_or(core::ptr::null(), |page| page.as_ptr())),
        }
    }
}

/// `Q` vectors of four chains each; lanes without a page do the work of the last one again and their results go nowhere.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,vaes")]
fn run<const Q: usize, const SEAL: bool>(keys: &Schedule, group: Group<'_, '_>) {
    let keys = &keys.wide();
    let Group { header, first, counters, src, dst, tags, after } = group;
    let last = src.len() - 1;
    let src: [&[Line]; GROUP] = array::from_fn(|page| src[page.min(last)].as_chunks().0);
    let columns = src[0].len();
    assert!(src.iter().all(|page| page.len() == columns), "pages of one length");
    let mut dst = dst.iter_mut();
    let dst: [&mut [Line]; GROUP] =
        array::from_fn(|_| dst.next().map_or_else(Default::default, |page| page.as_chunks_mut().0));
    let counters: [&[u8; 16]; GROUP] = array::from_fn(|page| &counters[page.min(last)]);

    if first == 0 {
        for (src, dst) in src[..=last].iter().zip(&dst) {
            for column in 0..AHEAD {
                fetch_second(src.as_ptr().cast(), column * 64);
                fetch_second(dst.as_ptr().cast(), column * 64);
            }
        }
    }
    // The chains: what goes into the next first round, the first round's key in it.
    let mut chains = [keys[0]; Q];
    let row = |blocks: &[[u8; 16]]| -> [[u8; 64]; Q] {
        array::from_fn(|quad| {
            let mut line = [[0; 16]; LANES];
            for (lane, block) in line.iter_mut().enumerate() {
                *block = blocks[first + (quad * LANES + lane).min(last)];
            }
            let mut flat = [0; 64];
            flat.copy_from_slice(line.as_flattened());
            flat
        })
    };
    let between = xor(keys[14], keys[0]);
    for (step, blocks) in header.iter().enumerate() {
        let mut next = [between; Q];
        for (next, line) in next.iter_mut().zip(&row(blocks)) {
            *next = xor(*next, load(line));
        }
        if step == 0 {
            for (chain, next) in chains.iter_mut().zip(next) {
                // There is no round before the first block.
                *chain = xor3(*chain, next, between);
            }
        } else {
            rounds::<Q, 0>(keys, &mut chains, &next, &mut []);
        }
    }

    // Counter 1 on, four a vector, in the last dword in little-endian order; brought into place by `swap`.
    let mut counts = _mm512_set_epi32(4, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0);
    let step = _mm512_set_epi32(4, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0);
    let none = -128;
    let swap = _mm512_broadcast_i32x4(_mm_setr_epi8(
        none, none, none, none, none, none, none, none, none, none, none, none, none, 14, 13, 12,
    ));
    // Each page's counter block with the first round's key.
    let mut bases = [keys[0]; GROUP];
    for (base, counter) in bases.iter_mut().zip(counters) {
        *base = xor(*base, four(counter));
    }
    // The blocks of the last column, by rows, and of the one before.
    let mut rows = [[between; Q]; LANES];
    let mut before = rows;
    for column in 0..columns {
        let count = _mm512_shuffle_epi8(counts, swap);
        counts = _mm512_add_epi32(counts, step);
        for quad in 0..LANES {
            let mut streams = [count; LANES];
            if quad < Q {
                for (lane, stream) in streams.iter_mut().enumerate() {
                    *stream = xor(*stream, bases[quad * LANES + lane]);
                }
            }
            match (column, quad < Q) {
                (0, true) => alone(keys, &mut streams),
                (0, false) => {}
                (_, true) => rounds::<Q, LANES>(keys, &mut chains, &before[quad], &mut streams),
                (_, false) => rounds::<Q, 0>(keys, &mut chains, &before[quad], &mut []),
            }
            if quad < Q {
                let mut plain = [count; LANES];
                for (lane, stream) in streams.iter().enumerate() {
                    let page = quad * LANES + lane;
                    let line = &src[page][column];
                    let read = load(line);
                    let written = xor(read, *stream);
                    if page <= last {
                        store(&mut dst[page][column], written);
                        match (column + AHEAD).checked_sub(columns) {
                            None => {
                                fetch_second(line.as_ptr(), AHEAD * 64);
                                fetch_second(dst[page][column].as_ptr(), AHEAD * 64);
                            }
                            Some(beyond) => {
                                fetch_second(after.src[page], beyond * 64);
                                fetch_second(after.dst[page], beyond * 64);
                            }
                        }
                    }
                    plain[lane] = if SEAL { read } else { written };
                }
                for (row, blocks) in rows.iter_mut().zip(transpose(plain)) {
                    row[quad] = xor(blocks, between);
                }
            }
        }
        before = rows;
    }
    for row in &before {
        rounds::<Q, 0>(keys, &mut chains, row, &mut []);
    }
    // The tags: the end of each chain under counter block 0.
    let mut masks = [keys[0]; Q];
    for quad in 0..Q {
        let mut lines = [[0; 16]; LANES];
        for (lane, block) in lines.iter_mut().enumerate() {
            *block = *counters[quad * LANES + lane];
        }
        let mut line = [0; 64];
        line.copy_from_slice(lines.as_flattened());
        masks[quad] = xor(masks[quad], load(&line));
    }
    rounds::<Q, Q>(keys, &mut chains, &[keys[14]; Q], &mut masks);
    for quad in 0..Q {
        let mut line = [0; 64];
        store(&mut line, xor(chains[quad], masks[quad]));
        let (blocks, _) = line.as_chunks::<16>();
        for (tag, block) in tags.iter_mut().skip(quad * LANES).zip(blocks) {
            *tag = *block;
        }
    }
    // What holds plaintext or key stream.
    rows = [[_mm512_setzero_si512(); Q]; LANES];
    before = rows;
    chains = [_mm512_setzero_si512(); Q];
    zeroize::optimization_barrier(&rows);
    zeroize::optimization_barrier(&before);
    zeroize::optimization_barrier(&chains);
}

/// One encryption of the chains and of `C` vectors of key stream, round by round in turn. Both come with the first round's key
/// in them; `next` holds the last round's key and what the chains take up behind it.
#[inline]
#[target_feature(enable = "avx512f,vaes")]
fn rounds<const Q: usize, const C: usize>(
    keys: &[__m512i; 15],
    chains: &mut [__m512i; Q],
    next: &[__m512i; Q],
    streams: &mut [__m512i; C],
) {
    for key in &keys[1..14] {
        for chain in chains.iter_mut() {
            *chain = _mm512_aesenc_epi128(*chain, *key);
        }
        for stream in streams.iter_mut() {
            *stream = _mm512_aesenc_epi128(*stream, *key);
        }
    }
    for (chain, next) in chains.iter_mut().zip(next) {
        *chain = _mm512_aesenclast_epi128(*chain, *next);
    }
    for stream in streams.iter_mut() {
        *stream = _mm512_aesenclast_epi128(*stream, keys[14]);
    }
}

/// One encryption of key stream alone.
#[inline]
#[target_feature(enable = "avx512f,vaes")]
fn alone<const C: usize>(keys: &[__m512i; 15], streams: &mut [__m512i; C]) {
    rounds::<0, C>(keys, &mut [], &[], streams);
}
