//! Data units through the cipher: tweak, cipher, tweak, in stripes of 64 blocks.

use cipher::consts::U16;
use cipher::inout::{InOut, InOutBuf};
use cipher::{
    BlockCipherDecBackend, BlockCipherDecClosure, BlockCipherEncBackend, BlockCipherEncClosure, BlockSizeUser,
};

use super::super::block::{Backward, Block, Forward, Stripe, StripeCipher, wipe};
use super::tweaks::Tweaks;

/// A data unit on its way: its ciphered tweak, and its blocks (source and destination, or one buffer in place).
pub(super) struct Unit<'i, 'o> {
    pub(super) tweak: Block,
    pub(super) blocks: InOutBuf<'i, 'o, Block>,
}

/// All units of one call: the cipher prepares its backend once for them.
pub(super) struct Pass<I>(pub(super) I);

impl<I> BlockSizeUser for Pass<I> {
    type BlockSize = U16;
}

impl<'i, 'o, I: Iterator<Item = Unit<'i, 'o>>> BlockCipherEncClosure for Pass<I> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        run(self.0, &Forward(backend));
    }
}

impl<'i, 'o, I: Iterator<Item = Unit<'i, 'o>>> BlockCipherDecClosure for Pass<I> {
    #[inline(always)]
    fn call<B: BlockCipherDecBackend<BlockSize = U16>>(self, backend: &B) {
        run(self.0, &Backward(backend));
    }
}

#[inline(always)]
fn run<'i, 'o>(units: impl Iterator<Item = Unit<'i, 'o>>, cipher: &impl StripeCipher) {
    let mut tweaks = Tweaks::new();
    let mut work = Stripe::default();
    for unit in units {
        tweaks.start(&unit.tweak);
        let (stripes, mut rest) = unit.blocks.into_chunks();
        for stripe in stripes {
            let mut stripe: InOut<'_, '_, Stripe> = stripe;
            tweaks.mask(stripe.get_in(), &mut work);
            cipher.stripe(&mut work);
            tweaks.mask(&work, stripe.get_out());
            tweaks.advance();
        }
        if !rest.is_empty() {
            // A last stripe of fewer than 64 blocks: the lanes behind it cipher what is left in `work`.
            tweaks.mask(rest.get_in(), &mut work);
            cipher.stripe(&mut work);
            tweaks.mask(&work, rest.get_out());
        }
    }
    wipe(&mut work);
    tweaks.wipe();
}
