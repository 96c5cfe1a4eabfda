//! Counter mode over one page in runs of 64 blocks.

use cipher::consts::U16;
use cipher::{BlockCipherEncBackend, BlockCipherEncClosure, BlockSizeUser};

use super::super::block::{Aligned, Block, Forward, STRIPE, Stripe, StripeCipher, count_up, wipe, xor_into};

/// XORs the key stream into `src`, giving `dst` (of equal length); `first` is the counter of the first block.
pub(super) struct KeyStream<'a> {
    pub(super) zero: Block,
    pub(super) first: u32,
    pub(super) src: &'a [Block],
    pub(super) dst: &'a mut [Block],
}

impl BlockSizeUser for KeyStream<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for KeyStream<'_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let cipher = Forward(backend);
        let mut stream = Aligned(Stripe::default());
        let stream = &mut stream.0;
        let mut value = self.first;
        for (src, dst) in self.src.chunks(STRIPE).zip(self.dst.chunks_mut(STRIPE)) {
            count_up(stream, &self.zero, value);
            cipher.stripe(stream);
            xor_into(dst, src, stream);
            value = value.wrapping_add(64);
        }
        wipe(stream);
    }
}
