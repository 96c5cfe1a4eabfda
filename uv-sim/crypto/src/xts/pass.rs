//! Data units through the cipher: tweak, cipher, tweak, in stripes of 64 blocks.

use cipher::consts::U16;
use cipher::inout::{InOut, InOutBuf};
use cipher::{
    BlockCipherDecBackend, BlockCipherDecClosure, BlockCipherEncBackend, BlockCipherEncClosure, BlockSizeUser,
};

use super::super::block::{Aligned, Backward, Block, Forward, Stripe, StripeCipher, wipe};
use super::tweaks::Tweaks;
use uv_kernels::Unit;

/// All units of one call: the cipher prepares its backend once for them.
///
/// No parameter of any caller reaches this type: it is compiled here, and not again with the settings of each crate that
/// ciphers pages.
pub(super) struct Pass<'u, 'i, 'o>(pub(super) &'u mut [Unit<'i, 'o>]);

impl BlockSizeUser for Pass<'_, '_, '_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Pass<'_, '_, '_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        run(self.0, &Forward(backend));
    }
}

impl BlockCipherDecClosure for Pass<'_, '_, '_> {
    #[inline(always)]
    fn call<B: BlockCipherDecBackend<BlockSize = U16>>(self, backend: &B) {
        run(self.0, &Backward(backend));
    }
}

#[inline(always)]
fn run(units: &mut [Unit<'_, '_>], cipher: &impl StripeCipher) {
    let mut tweaks = Tweaks::new();
    let mut work = Aligned(Stripe::default());
    for unit in units {
        tweaks.start(&unit.tweak);
        // The length of a page was checked: nothing is left over.
        let (blocks, _): (InOutBuf<'_, '_, Block>, _) = unit.bytes.reborrow().into_chunks();
        let (mut stripes, mut rest) = blocks.into_chunks();
        let whole = stripes.len();
        for index in 0..whole {
            let mut stripe: InOut<'_, '_, Stripe> = stripes.get(index);
            tweaks.mask(stripe.get_in(), &mut work.0);
            cipher.stripe(&mut work.0);
            tweaks.mask(&work.0, stripe.get_out());
            if index + 1 < whole || !rest.is_empty() {
                tweaks.advance();
            }
        }
        if !rest.is_empty() {
            // A last stripe of fewer than 64 blocks: the lanes behind it cipher what is left in `work`.
            let count = rest.len();
            work.0[..count].copy_from_slice(rest.get_in());
            tweaks.mask_in_place(&mut work.0);
            cipher.stripe(&mut work.0);
            tweaks.mask_in_place(&mut work.0);
            rest.get_out().copy_from_slice(&work.0[..count]);
        }
    }
    wipe(&mut work.0);
    tweaks.wipe();
}
