//! One data unit through the cipher: tweak, cipher, tweak, in stripes of 64 blocks.

use cipher::consts::U16;
use cipher::inout::{InOut, InOutBuf};
use cipher::{
    BlockCipherDecBackend, BlockCipherDecClosure, BlockCipherEncBackend, BlockCipherEncClosure, BlockSizeUser,
};

use super::super::block::{Backward, Block, Forward, Stripe, StripeCipher, wipe};
use super::tweaks::Tweaks;

/// A data unit on its way: its ciphered tweak, and its blocks (source and destination, or one buffer in place).
pub(super) struct Pass<'i, 'o> {
    pub(super) tweak: Block,
    pub(super) blocks: InOutBuf<'i, 'o, Block>,
}

impl BlockSizeUser for Pass<'_, '_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Pass<'_, '_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        self.run(&Forward(backend));
    }
}

impl BlockCipherDecClosure for Pass<'_, '_> {
    #[inline(always)]
    fn call<B: BlockCipherDecBackend<BlockSize = U16>>(self, backend: &B) {
        self.run(&Backward(backend));
    }
}

impl Pass<'_, '_> {
    #[inline(always)]
    fn run(self, cipher: &impl StripeCipher) {
        let mut tweaks = Tweaks::starting_at(&self.tweak);
        let mut work = Stripe::default();
        let (stripes, mut rest) = self.blocks.into_chunks();
        let mut first = true;
        for stripe in stripes {
            if !first {
                tweaks.advance();
            }
            first = false;
            let mut stripe: InOut<'_, '_, Stripe> = stripe;
            tweaks.mask(stripe.get_in(), &mut work);
            cipher.stripe(&mut work);
            tweaks.mask(&work, stripe.get_out());
        }
        if !rest.is_empty() {
            if !first {
                tweaks.advance();
            }
            // A last stripe of fewer than 64 blocks: the lanes behind it cipher what is left in `work`.
            tweaks.mask(rest.get_in(), &mut work);
            cipher.stripe(&mut work);
            tweaks.mask(&work, rest.get_out());
        }
        wipe(&mut work);
        tweaks.wipe();
    }
}
