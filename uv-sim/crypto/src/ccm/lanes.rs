//! CCM of a batch of pages: the two orders in which chains and key streams are brought to the cipher.

use cipher::array::Array;
use cipher::consts::U16;
use cipher::{BlockCipherEncBackend, BlockCipherEncClosure, BlockSizeUser};

use super::super::BATCH;
use super::super::block::{
    Block, Direction, Forward, Row, STRIPE, Stripe, StripeCipher, count_up, wipe, xor, xor_into,
};

/// Up to this many pages the narrow order is the faster one.
pub(super) const NARROW: usize = 22;

/// Blocks of one page which the wide order takes up at a time.
///
/// All pages of a batch begin at the same offset of a cache set, so touching them block by block would evict them again and
/// again; a column of several lines is carried to the stack instead.
const COLUMN: usize = 32;

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
    /// Blocks of each page.
    pub(super) blocks: usize,
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

/// The counter as it is XORed into counter block 0.
#[inline(always)]
fn counter(value: u32) -> Block {
    Array(u128::from(value).to_be_bytes())
}

/// Lanes 0..32 hold the chains, lanes 32..64 the key stream for the block that comes next.
#[inline(always)]
fn wide<const OPEN: bool>(pass: Pass<'_, '_>, cipher: &impl StripeCipher) {
    let blocks = pass.blocks;
    let mut lanes = Stripe::default();
    for row in pass.header {
        let (chains, stream) = lanes.split_at_mut(BATCH);
        xor(chains, row);
        // The last header step makes the key stream of the first payload block.
        set_counters(stream, pass.counters, counter(1));
        cipher.stripe(&mut lanes);
    }
    let mut stage = [[Block::default(); BATCH]; COLUMN];
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
            set_counters(stream, pass.counters, counter(if last { 0 } else { next }));
            next += 1;
            cipher.stripe(&mut lanes);
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
    wipe(&mut lanes);
    wipe(stage.as_flattened_mut());
}

/// Touches the lines of all pages from block `start` on, page after page, in the order memory likes best: jumping from page to
/// page with every piece would wait for each of them.
#[inline(always)]
fn touch(src: &[&[u8]], dst: &mut [&mut [u8]], start: usize) {
    let mut seen = 0;
    for (from, to) in src.iter().zip(dst) {
        let bytes = start * 16..from.len().min((start + AHEAD) * 16);
        for line in from[bytes.clone()].chunks(LINE) {
            seen ^= line[0];
        }
        for line in to[bytes].chunks_mut(LINE) {
            line[0] = 0;
        }
    }
    core::hint::black_box(seen);
}

/// Counter blocks of all pages at one counter value.
#[inline(always)]
fn set_counters(stream: &mut [Block], counters: &Row, value: Block) {
    for (to, from) in stream.iter_mut().zip(counters) {
        to.0 = (u128::from_ne_bytes(from.0) ^ u128::from_ne_bytes(value.0)).to_ne_bytes();
    }
}

/// Key streams in runs of 64 blocks of one page; then the chains of all pages over the same run.
#[inline(always)]
fn narrow<B: BlockCipherEncBackend<BlockSize = U16>>(pass: Pass<'_, '_>, backend: &B) {
    let pages = pass.src.len();
    let blocks = pass.blocks;
    let mut chains = [Block::default(); BATCH];
    for row in pass.header {
        for (chain, block) in chains[..pages].iter_mut().zip(row) {
            xor_block(chain, block);
            backend.encrypt_block(chain.into());
        }
    }
    let mut stream = Stripe::default();
    let mut start = 0;
    let mut first = 1;
    while start < blocks {
        if start.is_multiple_of(AHEAD) {
            touch(pass.src, pass.dst, start);
        }
        let run = STRIPE.min(blocks - start);
        for ((from, to), zero) in pass.src.iter().zip(pass.dst.iter_mut()).zip(pass.counters) {
            count_up(&mut stream, zero, first);
            Forward(backend).stripe(&mut stream);
            let from = &Array::<u8, U16>::slice_as_chunks(from).0[start..start + run];
            let to = &mut Array::<u8, U16>::slice_as_chunks_mut(to).0[start..start + run];
            xor_into(to, from, &stream);
        }
        for block in start..start + run {
            for (page, chain) in chains[..pages].iter_mut().enumerate() {
                let plain: &[u8] = match pass.direction {
                    Direction::Seal => pass.src[page],
                    Direction::Open => pass.dst[page],
                };
                xor_block(chain, &Array::<u8, U16>::slice_as_chunks(plain).0[block]);
                backend.encrypt_block(chain.into());
            }
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
    wipe(&mut stream);
    wipe(&mut chains);
}

/// XORs one block into another.
#[inline(always)]
fn xor_block(to: &mut Block, with: &Block) {
    to.0 = (u128::from_ne_bytes(to.0) ^ u128::from_ne_bytes(with.0)).to_ne_bytes();
}
