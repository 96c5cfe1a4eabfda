//! Cipher blocks in fixed groups, and the one way in which groups go through the cipher's parallel interface.

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

/// Which way pages go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// Plaintext to ciphertext.
    Seal,
    /// Ciphertext to plaintext.
    Open,
}

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

/// XORs blocks into blocks.
#[inline(always)]
pub(super) fn xor(to: &mut [Block], with: &[Block]) {
    for (to, with) in to.iter_mut().zip(with) {
        to.0 = (u128::from_ne_bytes(to.0) ^ u128::from_ne_bytes(with.0)).to_ne_bytes();
    }
}

/// Counter blocks in a row: `zero` with the 32-bit big-endian counter `first`, `first + 1`, ... XORed into its last 4 bytes.
#[inline(always)]
pub(super) fn count_up(stream: &mut [Block], zero: &Block, first: u32) {
    let zero = u128::from_be_bytes(zero.0);
    let mut value = first;
    for block in stream {
        block.0 = (zero ^ u128::from(value)).to_be_bytes();
        value = value.wrapping_add(1);
    }
}

/// Writes the XOR of two runs of blocks, as long as the shortest.
#[inline(always)]
pub(super) fn xor_into(to: &mut [Block], a: &[Block], b: &[Block]) {
    for ((to, a), b) in to.iter_mut().zip(a).zip(b) {
        to.0 = (u128::from_ne_bytes(a.0) ^ u128::from_ne_bytes(b.0)).to_ne_bytes();
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
