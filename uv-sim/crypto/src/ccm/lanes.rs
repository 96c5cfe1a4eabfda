//! CCM of a batch of pages: the two orders in which chains and key streams are brought to the cipher.

use core::array;

use cipher::array::Array;
use cipher::consts::U16;
use cipher::{BlockCipherEncBackend, BlockCipherEncClosure, BlockSizeUser};

use super::super::BATCH;
use super::super::block::{
    Aligned, Block, Direction, Forward, Row, STRIPE, Stripe, StripeCipher, count_rows, count_up, wipe, xor, xor_into,
};

/// Up to this many pages the narrow order is the faster one.
pub(super) const NARROW: usize = 22;

/// Blocks of one page which the wide order takes up at a time.
///
/// All pages of a batch begin at the same offset of a cache set, so touching them block by block would evict them again and
/// again; a column of several lines is carried to the stack instead.
const COLUMN: usize = 32;

/// Chains which wait for each other's rounds in turn: as many as hide the latency of one.
const GROUP: usize = 8;

/// Blocks of one page which are touched ahead of their use (4 KiB).
const AHEAD: usize = 256;

/// Bytes of a cache line; a wrong guess costs time only.
const LINE: usize = 64;

/// A checked batch: all pages of one length, as many counters and header lanes as pages.
pub(super) struct Pass<'a, 'b> {
    /// Sealing, the chains run over the source; opening, over the result.
    pub(super) direction: Direction,
    /// Blocks in front of the payload, one row for each step.
    pub(super) header: &'a [Row],
    /// Counter block 0 of each page.
    pub(super) counters: &'a Row,
    pub(super) src: &'a [&'a [u8]],
    pub(super) dst: &'a mut [&'b mut [u8]],
    /// Receives the tag of each page.
    pub(super) tags: &'a mut Row,
}

/// Many pages: one block of each chain and one counter block of each page in a step.
pub(super) struct Wide<'a, 'b>(pub(super) Pass<'a, 'b>);

/// Few pages: key streams page by page, chains interleaved block by block.
pub(super) struct Narrow<'a, 'b>(pub(super) Pass<'a, 'b>);

impl BlockSizeUser for Wide<'_, '_> {
    type BlockSize = U16;
}

impl BlockSizeUser for Narrow<'_, '_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Wide<'_, '_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        match self.0.direction {
            Direction::Seal => wide::<false>(self.0, &Forward(backend)),
            Direction::Open => wide::<true>(self.0, &Forward(backend)),
        }
    }
}

impl BlockCipherEncClosure for Narrow<'_, '_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        narrow(self.0, backend);
    }
}

/// Lanes 0..32 hold the chains, lanes 32..64 the key stream for the block that comes next.
#[inline(always)]
fn wide<const OPEN: bool>(pass: Pass<'_, '_>, cipher: &impl StripeCipher) {
    let blocks = pass.src.first().map_or(0, |page| page.len() / 16);
    let mut lanes = Aligned(Stripe::default());
    let lanes = &mut lanes.0;
    for row in pass.header {
        let (chains, stream) = lanes.split_at_mut(BATCH);
        xor(chains, row);
        // The last header step makes the key stream of the first payload block.
        count_rows(stream, pass.counters, 1);
        cipher.stripe(lanes);
    }
    let mut stage = Aligned([[Block::default(); BATCH]; COLUMN]);
    let stage = &mut stage.0;
    let mut next = 2;
    let mut start = 0;
    while start < blocks {
        if start.is_multiple_of(AHEAD) {
            touch(pass.src, pass.dst, start);
        }
        let column = COLUMN.min(blocks - start);
        for (lane, page) in pass.src.iter().enumerate() {
            let page = &Array::<u8, U16>::slice_as_chunks(page).0[start..start + column];
            for (row, block) in stage.iter_mut().zip(page) {
                row[lane] = *block;
            }
        }
        for (offset, row) in stage[..column].iter_mut().enumerate() {
            let (chains, stream) = lanes.split_at_mut(BATCH);
            if OPEN {
                xor(row, stream);
                xor(chains, row);
            } else {
                xor(chains, row);
                xor(row, stream);
            }
            // The last payload step makes the key stream of the tag instead: counter 0.
            let last = start + offset + 1 == blocks;
            count_rows(stream, pass.counters, if last { 0 } else { next });
            next += 1;
            cipher.stripe(lanes);
        }
        for (lane, page) in pass.dst.iter_mut().enumerate() {
            let page = &mut Array::<u8, U16>::slice_as_chunks_mut(page).0[start..start + column];
            for (row, block) in stage.iter().zip(page) {
                *block = row[lane];
            }
        }
        start += column;
    }
    let (chains, stream) = lanes.split_at(BATCH);
    pass.tags.copy_from_slice(chains);
    xor(pass.tags, stream);
    wipe(lanes);
    wipe(stage.as_flattened_mut());
}

/// Touches the lines of all pages from block `start` on, page after page, in the order memory likes best: jumping from page to
/// page with every piece would wait for each of them.
#[inline(always)]
fn touch(src: &[&[u8]], dst: &mut [&mut [u8]], start: usize) {
    let mut seen = 0;
    for (from, to) in src.iter().zip(dst) {
        let bytes = start * 16..from.len().min((start + AHEAD) * 16);
        for line in from[bytes.clone()].as_chunks::<LINE>().0 {
            seen ^= line[0];
        }
        for line in to[bytes].as_chunks_mut::<LINE>().0 {
            line[0] = 0;
        }
    }
    core::hint::black_box(seen);
}

/// Key streams in runs of 64 blocks of one page; then the chains of all pages over the same run.
#[inline(always)]
fn narrow<B: BlockCipherEncBackend<BlockSize = U16>>(pass: Pass<'_, '_>, backend: &B) {
    let pages = pass.src.len();
    let blocks = pass.src.first().map_or(0, |page| page.len() / 16);
    let mut chains = [Block::default(); BATCH];
    for row in pass.header {
        for (chain, block) in chains[..pages].iter_mut().zip(row) {
            xor_block(chain, block);
            backend.encrypt_block(chain.into());
        }
    }
    let mut stream = Aligned(Stripe::default());
    let stream = &mut stream.0;
    let mut start = 0;
    let mut first = 1;
    while start < blocks {
        if start.is_multiple_of(AHEAD) {
            touch(pass.src, pass.dst, start);
        }
        let run = STRIPE.min(blocks - start);
        for ((from, to), zero) in pass.src.iter().zip(pass.dst.iter_mut()).zip(pass.counters) {
            count_up(stream, zero, first);
            Forward(backend).stripe(stream);
            let from = run_of(from, start, run);
            let to = &mut Array::<u8, U16>::slice_as_chunks_mut(to).0[start..start + run];
            xor_into(to, from, stream);
        }
        let mut rest = &mut chains[..pages];
        let mut at = 0;
        while !rest.is_empty() {
            let (group, more) = rest.split_at_mut(rest.len().min(GROUP));
            let page = |index: usize| match pass.direction {
                Direction::Seal => run_of(pass.src[at + index], start, run),
                Direction::Open => run_of(&pass.dst[at + index][..], start, run),
            };
            match group.len() {
                1 => chain::<1, B>(backend, group, page),
                2 => chain::<2, B>(backend, group, page),
                3 => chain::<3, B>(backend, group, page),
                4 => chain::<4, B>(backend, group, page),
                5 => chain::<5, B>(backend, group, page),
                6 => chain::<6, B>(backend, group, page),
                7 => chain::<7, B>(backend, group, page),
                _ => chain::<GROUP, B>(backend, group, page),
            }
            at += group.len();
            rest = more;
        }
        start += run;
        first += 64;
    }
    let (tags, _) = pass.tags.split_at_mut(pages);
    tags.copy_from_slice(&pass.counters[..pages]);
    for (tag, chain) in tags.iter_mut().zip(&chains) {
        backend.encrypt_block(tag.into());
        xor_block(tag, chain);
    }
    wipe(stream);
    wipe(&mut chains);
}

/// Blocks `start..start + run` of a page.
#[inline(always)]
fn run_of(page: &[u8], start: usize, run: usize) -> &[Block] {
    &Array::<u8, U16>::slice_as_chunks(page).0[start..start + run]
}

/// Chains of `N` pages over a run of blocks; they stay in registers from block to block.
#[inline(always)]
fn chain<'p, const N: usize, B: BlockCipherEncBackend<BlockSize = U16>>(
    backend: &B,
    chains: &mut [Block],
    page: impl Fn(usize) -> &'p [Block],
) {
    let Some(chains) = chains.first_chunk_mut::<N>() else { return };
    let pages: [&[Block]; N] = array::from_fn(page);
    let run = pages[0].len();
    let pages = pages.map(|page| &page[..run]);
    let mut values = *chains;
    for block in 0..run {
        for (value, page) in values.iter_mut().zip(&pages) {
            xor_block(value, &page[block]);
            backend.encrypt_block(value.into());
        }
    }
    *chains = values;
}

/// XORs one block into another.
#[inline(always)]
fn xor_block(to: &mut Block, with: &Block) {
    to.0 = (u128::from_ne_bytes(to.0) ^ u128::from_ne_bytes(with.0)).to_ne_bytes();
}
