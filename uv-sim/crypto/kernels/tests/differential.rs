//! Every kernel gives what the reference crate gives, over random keys, tweaks, nonces, lengths and numbers of pages.

use aes::Aes256;
use aes::cipher::consts::{U12, U16};
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use ccm::aead::inout::InOutBuf;
use ccm::{AeadInOut, Ccm as PlainCcm};
use polyval::Polyval as PlainPolyval;
use polyval::universal_hash::UniversalHash;
use proptest::prelude::*;
use uv_kernels::{Ccm, CcmBatch, Direction, Polyval, STRIDE, Unit, Xts};
use xts_mode::Xts128;

fn bytes(seed: u64, len: usize) -> Vec<u8> {
    // SplitMix64: any bytes will do, but no two pages alike.
    let mut state = seed;
    let mut next = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    (0..len.div_ceil(8)).flat_map(|_| next().to_le_bytes()).take(len).collect()
}

fn key<const N: usize>(seed: u64) -> [u8; N] {
    bytes(seed, N).try_into().expect("as long as asked for")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn xts_is_that_of_the_plain_crate(seed: u64, strides in 1..40_usize, units in 1..5_usize, in_place: bool) {
        let full: [u8; 64] = key(seed);
        let (data, tweak) = full.split_first_chunk::<32>().expect("64 bytes");
        let half = |bytes: &[u8]| Aes256::new(bytes.try_into().expect("32 bytes"));
        let plain = Xts128::new(half(data), half(tweak));
        let Some(kernel) = Xts::new(data) else { return Ok(()) };
        let len = strides * STRIDE;
        let source = bytes(seed ^ 1, units * len);
        let tweaks: Vec<[u8; 16]> = (0..units as u64).map(|n| key(seed ^ (n + 2))).collect();
        let ciphered = |at: usize| {
            let mut block = Array(tweaks[at]);
            half(tweak).encrypt_block(&mut block);
            block.0
        };
        for direction in [Direction::Seal, Direction::Open] {
            let mut expected = source.clone();
            for (page, tweak) in expected.chunks_mut(len).zip(&tweaks) {
                match direction {
                    Direction::Seal => plain.encrypt_sector(page, Array(*tweak)),
                    Direction::Open => plain.decrypt_sector(page, Array(*tweak)),
                }
            }
            let mut seen = if in_place { source.clone() } else { vec![0; source.len()] };
            let pages = source.chunks(len).zip(seen.chunks_mut(len)).enumerate();
            let mut list: Vec<Unit<'_, '_>> = pages.map(|(at, (from, to))| Unit {
                tweak: ciphered(at),
                bytes: if in_place { InOutBuf::from(to) } else { InOutBuf::new(from, to).expect("equal lengths") },
            }).collect();
            kernel.run(direction, &mut list);
            prop_assert_eq!(&seen, &expected);
        }
    }

    #[test]
    fn ccm_is_that_of_the_plain_crate(seed: u64, strides in 1..20_usize, pages in 1..34_usize, aad in 0..33_usize) {
        let key: [u8; 32] = key(seed);
        let plain = PlainCcm::<Aes256, U16, U12>::new(&Array(key));
        let Some(kernel) = Ccm::new(&key) else { return Ok(()) };
        let len = strides * STRIDE;
        let source = bytes(seed ^ 1, pages * len);
        let nonces: Vec<[u8; 12]> = (0..pages as u64).map(|n| self::key(seed ^ (n + 2))).collect();
        let aads: Vec<Vec<u8>> = (0..pages as u64).map(|n| bytes(seed ^ (n + 77), aad)).collect();
        let (mut sealed, mut tags) = (source.clone(), Vec::new());
        for ((page, nonce), aad) in sealed.chunks_mut(len).zip(&nonces).zip(&aads) {
            let tag = plain.encrypt_inout_detached(&Array(*nonce), aad, InOutBuf::from(page)).expect("within the limit");
            tags.push(tag.0);
        }
        for (direction, from, expected) in
            [(Direction::Seal, &source, &sealed), (Direction::Open, &sealed, &source)]
        {
            let mut seen = vec![0; source.len()];
            let mut seen_tags = vec![[0; 16]; pages];
            let headers: Vec<Vec<[u8; 16]>> = (0..header(&nonces[0], &aads[0], len).len())
                .map(|row| nonces.iter().zip(&aads).map(|(nonce, aad)| header(nonce, aad, len)[row]).collect())
                .collect();
            let counters: Vec<[u8; 16]> = nonces.iter().map(|nonce| block(2, nonce, 0)).collect();
            kernel.run(CcmBatch {
                direction,
                header: &headers.iter().map(Vec::as_slice).collect::<Vec<_>>(),
                counters: &counters,
                src: &from.chunks(len).collect::<Vec<_>>(),
                dst: &mut seen.chunks_mut(len).collect::<Vec<_>>(),
                tags: &mut seen_tags,
            });
            prop_assert_eq!(&seen_tags, &tags);
            prop_assert!(seen == *expected);
        }
    }

    #[test]
    fn polyval_is_that_of_the_plain_crate(seed: u64, strides in 0..20_usize) {
        let hash_key: [u8; 16] = key(seed);
        let Some(kernel) = Polyval::new(&hash_key) else { return Ok(()) };
        let data = bytes(seed ^ 1, strides * STRIDE);
        let last: [u8; 16] = key(seed ^ 2);
        let mut plain = PlainPolyval::new(&Array(hash_key));
        plain.update_padded(&data);
        plain.update(&[Array(last)]);
        prop_assert_eq!(kernel.hash(&data, &last), plain.finalize().0);
    }

    #[test]
    fn sha512_is_that_of_the_plain_crate(seed: u64, blocks in 0..20_usize) {
        let mut state: [u64; 8] = std::array::from_fn(|at| seed.wrapping_mul(at as u64 + 3));
        let message = bytes(seed, blocks * 128);
        let mut expected = state;
        sha2::block_api::compress512(&mut expected, message.as_chunks().0);
        if uv_kernels::sha512(&mut state, message.as_chunks().0) {
            prop_assert_eq!(state, expected);
        }
    }
}

/// Flags, nonce and a number of 3 bytes.
fn block(flags: u8, nonce: &[u8; 12], number: usize) -> [u8; 16] {
    let mut block = [0; 16];
    block[0] = flags;
    block[1..13].copy_from_slice(nonce);
    block[13..].copy_from_slice(&number.to_be_bytes()[5..]);
    block
}

/// B0, and the additional data behind its length.
fn header(nonce: &[u8; 12], aad: &[u8], len: usize) -> Vec<[u8; 16]> {
    let mut blocks = vec![block(if aad.is_empty() { 0x3a } else { 0x7a }, nonce, len)];
    if !aad.is_empty() {
        let mut bytes = aad.len().to_be_bytes()[6..].to_vec();
        bytes.extend_from_slice(aad);
        bytes.resize(bytes.len().next_multiple_of(16), 0);
        blocks.extend(bytes.as_chunks::<16>().0);
    }
    blocks
}

#[test]
fn lengths_that_kernels_take() {
    assert_eq!(
        [0, 16, 511, 512, 4096, 4112, 0x1_0000].map(uv_kernels::takes),
        [false, false, false, true, true, false, true]
    );
}
