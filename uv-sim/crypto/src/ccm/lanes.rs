//! CCM of a batch of pages: the order in which chains and key streams are brought to the cipher.

use core::array;

use cipher::array::Array;
use cipher::consts::U16;
use cipher::inout::InOutBuf;
use cipher::typenum::Unsigned;
use cipher::{BlockCipherEncBackend, BlockCipherEncClosure, BlockSizeUser};

use uv_kernels::Direction;

use super::super::BATCH;
use super::super::block::{Aligned, Block, Forward, Row, STRIPE, Stripe, StripeCipher, count_up, wipe, xor_into};

/// Chains which wait for each other's rounds in turn: as many as hide the latency of one.
const GROUP: usize = 8;

/// Blocks of one page which are taken up at a time (4 KiB).
const PART: usize = 256;

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

impl BlockSizeUser for Pass<'_, '_> {
    type BlockSize = U16;
}

/// Key streams page after page, each page from its beginning to its end as memory likes best; then the chains of the same
/// pages side by side.
impl BlockCipherEncClosure for Pass<'_, '_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let pages = self.src.len();
        let blocks = self.src.first().map_or(0, |page| page.len() / 16);
        let mut chains = [Block::default(); BATCH];
        for row in self.header {
            for (chain, block) in chains[..pages].iter_mut().zip(row) {
                xor_block(chain, block);
                backend.encrypt_block(chain.into());
            }
        }
        let mut stream = Aligned(Stripe::default());
        // The chain of one page alone leaves the cipher idle: short parts let it make key stream meanwhile.
        let most = if pages == 1 { STRIPE } else { PART };
        let mut start = 0;
        let mut counter = 1;
        while start < blocks {
            let part = most.min(blocks - start);
            for (group, chains) in chains[..pages].chunks_mut(GROUP).enumerate() {
                let group = group * GROUP..group * GROUP + chains.len();
                for page in group.clone() {
                    let from = part_of(self.src[page], start, part);
                    let to = &mut Array::<u8, U16>::slice_as_chunks_mut(self.dst[page]).0[start..start + part];
                    for ((from, to), stripe) in from.chunks(STRIPE).zip(to.chunks_mut(STRIPE)).zip(0..) {
                        count_up(&mut stream.0, &self.counters[page], counter + 64 * stripe);
                        Forward(backend).stripe(&mut stream.0);
                        xor_into(to, from, &stream.0);
                    }
                }
                let page = |index: usize| match self.direction {
                    Direction::Seal => part_of(self.src[group.start + index], start, part),
                    Direction::Open => part_of(&self.dst[group.start + index][..], start, part),
                };
                match chains.len() {
                    1 => chain::<1, B>(backend, chains, page),
                    2 => chain::<2, B>(backend, chains, page),
                    3 => chain::<3, B>(backend, chains, page),
                    4 => chain::<4, B>(backend, chains, page),
                    5 => chain::<5, B>(backend, chains, page),
                    6 => chain::<6, B>(backend, chains, page),
                    7 => chain::<7, B>(backend, chains, page),
                    _ => chain::<GROUP, B>(backend, chains, page),
                }
            }
            start += part;
            counter += if pages == 1 { 64 } else { 256 };
        }
        let (tags, _) = self.tags.split_at_mut(pages);
        tags.copy_from_slice(&self.counters[..pages]);
        for (tag, chain) in tags.iter_mut().zip(&chains) {
            backend.encrypt_block(tag.into());
            xor_block(tag, chain);
        }
        wipe(&mut stream.0);
        wipe(&mut chains);
    }
}

/// Blocks `start..start + count` of a page.
#[inline(always)]
fn part_of(page: &[u8], start: usize, count: usize) -> &[Block] {
    &Array::<u8, U16>::slice_as_chunks(page).0[start..start + count]
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
        if B::ParBlocksSize::USIZE <= N {
            for (value, page) in values.iter_mut().zip(&pages) {
                xor_block(value, &page[block]);
            }
            let (groups, rest) = InOutBuf::from(values.as_mut_slice()).into_chunks();
            for group in groups {
                backend.encrypt_par_blocks(group);
            }
            backend.encrypt_tail_blocks(rest);
        } else {
            // The backend's groups are longer than this one: single blocks overlap in the processor's own order.
            for (value, page) in values.iter_mut().zip(&pages) {
                xor_block(value, &page[block]);
                backend.encrypt_block(value.into());
            }
        }
    }
    *chains = values;
}

/// XORs one block into another.
#[inline(always)]
fn xor_block(to: &mut Block, with: &Block) {
    to.0 = (u128::from_ne_bytes(to.0) ^ u128::from_ne_bytes(with.0)).to_ne_bytes();
}
