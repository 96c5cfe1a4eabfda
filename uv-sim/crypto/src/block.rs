//! Cipher blocks in fixed groups, and the one way in which groups go through the cipher's parallel interface.

use core::slice;

use cipher::array::Array;
use cipher::consts::{U16, U64};
use cipher::inout::InOutBuf;
use cipher::{BlockCipherDecBackend, BlockCipherEncBackend};

use super::BATCH;

/// One 16-byte cipher block.
pub(super) type Block = Array<u8, U16>;

/// 64 blocks (1 KiB): the widest group a cipher backend takes in one step.
pub(super) type Stripe = Array<Block, U64>;

/// Blocks of a [`Stripe`].
pub(super) const STRIPE: usize = 64;

/// A value that begins on a cache line: vectors of 64 bytes then never cross one.
#[repr(C, align(64))]
pub(super) struct Aligned<T>(pub(super) T);

/// One block of each page of a batch.
pub(super) type Row = [Block; BATCH];

/// One direction of a block cipher over a whole stripe.
///
/// The implementations are inlined into the backend's own function, so that everything around them is compiled for
/// the vector unit that was found at run time.
pub(super) trait StripeCipher {
    /// Ciphers 64 blocks in place.
    fn stripe(&self, work: &mut Stripe);
}

/// Encryption through a backend.
pub(super) struct Forward<'b, B>(pub(super) &'b B);

impl<B: BlockCipherEncBackend<BlockSize = U16>> StripeCipher for Forward<'_, B> {
    #[inline(always)]
    fn stripe(&self, work: &mut Stripe) {
        let (groups, rest) = InOutBuf::from(work.as_mut_slice()).into_chunks();
        for group in groups {
            self.0.encrypt_par_blocks(group);
        }
        self.0.encrypt_tail_blocks(rest);
    }
}

/// Decryption through a backend.
pub(super) struct Backward<'b, B>(pub(super) &'b B);

impl<B: BlockCipherDecBackend<BlockSize = U16>> StripeCipher for Backward<'_, B> {
    #[inline(always)]
    fn stripe(&self, work: &mut Stripe) {
        let (groups, rest) = InOutBuf::from(work.as_mut_slice()).into_chunks();
        for group in groups {
            self.0.decrypt_par_blocks(group);
        }
        self.0.decrypt_tail_blocks(rest);
    }
}

/// Overwrites blocks with zeros in a way the compiler does not remove.
#[inline(always)]
pub(super) fn wipe(blocks: &mut [Block]) {
    blocks.fill(Array([0; 16]));
    zeroize::optimization_barrier(blocks);
}

/// The 8-byte words of a run of blocks: in this form loops over blocks become loops over whole vectors.
#[inline(always)]
pub(super) fn words(blocks: &[Block]) -> &[[u8; 8]] {
    Array::cast_slice_to_core(blocks).as_flattened().as_chunks().0
}

/// The same for writing.
#[inline(always)]
pub(super) fn words_mut(blocks: &mut [Block]) -> &mut [[u8; 8]] {
    Array::cast_slice_to_core_mut(blocks).as_flattened_mut().as_chunks_mut().0
}

/// XORs blocks into blocks.
#[inline(always)]
pub(super) fn xor(to: &mut [Block], with: &[Block]) {
    for (to, with) in words_mut(to).iter_mut().zip(words(with)) {
        *to = (u64::from_ne_bytes(*to) ^ u64::from_ne_bytes(*with)).to_ne_bytes();
    }
}

/// Counter blocks in a row: `zero` with the 32-bit big-endian counter `first`, `first + 1`, ... XORed into its last 4 bytes.
#[inline(always)]
pub(super) fn count_up(stream: &mut [Block], zero: &Block, first: u32) {
    let zero = words(slice::from_ref(zero));
    let (front, back) = (zero[0], u64::from_ne_bytes(zero[1]));
    for (block, offset) in words_mut(stream).as_chunks_mut::<2>().0.iter_mut().zip(0..) {
        let counter = u64::from(first.wrapping_add(offset)).to_be();
        *block = [front, (back ^ counter).to_ne_bytes()];
    }
}

/// Writes the XOR of two runs of blocks, as long as the shortest.
#[inline(always)]
pub(super) fn xor_into(to: &mut [Block], a: &[Block], b: &[Block]) {
    for ((to, a), b) in words_mut(to).iter_mut().zip(words(a)).zip(words(b)) {
        *to = (u64::from_ne_bytes(*a) ^ u64::from_ne_bytes(*b)).to_ne_bytes();
    }
}

#[cfg(test)]
mod tests {
    use cipher::consts::U7;
    use cipher::inout::InOut;
    use cipher::{BlockSizeUser, ParBlocksSizeUser};

    use super::*;

    /// Adds 1 to the first byte of a block; takes 7 blocks at a time, which 64 is no multiple of.
    struct AddOne;

    impl BlockSizeUser for AddOne {
        type BlockSize = U16;
    }

    impl ParBlocksSizeUser for AddOne {
        type ParBlocksSize = U7;
    }

    impl BlockCipherEncBackend for AddOne {
        fn encrypt_block(&self, mut block: InOut<'_, '_, Block>) {
            let mut changed = *block.get_in();
            changed[0] += 1;
            *block.get_out() = changed;
        }
    }

    impl BlockCipherDecBackend for AddOne {
        fn decrypt_block(&self, block: InOut<'_, '_, Block>) {
            self.encrypt_block(block);
        }
    }

    #[test]
    fn every_block_of_a_stripe_is_ciphered_once_whatever_the_width_of_the_cipher() {
        let mut stripe = Stripe::default();
        Forward(&AddOne).stripe(&mut stripe);
        assert!(stripe.iter().all(|block| block[0] == 1 && block[1] == 0));
        Backward(&AddOne).stripe(&mut stripe);
        assert!(stripe.iter().all(|block| block[0] == 2));
    }

    #[test]
    fn counters_are_xored_into_the_last_bytes() {
        let mut stream = [Array([0xee; 16]); 3];
        count_up(&mut stream, &Array([0xff; 16]), u32::MAX - 1);
        let ends = stream.map(|block| u32::from_be_bytes([block[12], block[13], block[14], block[15]]));
        assert_eq!(ends, [1, 0, u32::MAX], "the counter wraps");
        assert!(stream.iter().all(|block| block[..12] == [0xff; 12]));
    }

    #[test]
    fn wiped_blocks_are_zero() {
        let mut blocks = [Array([0xee; 16]); 3];
        wipe(&mut blocks);
        assert_eq!(blocks, [Array([0; 16]); 3]);
    }
}
