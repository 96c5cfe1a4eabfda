use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

fn key(seed: u8) -> [u8; 48] {
    core::array::from_fn(|at| at.to_le_bytes()[0].wrapping_mul(7) ^ seed)
}

/// RFC 8452, appendix A: POLYVAL of two blocks.
#[test]
fn the_hash_is_that_of_rfc_8452() {
    let mut key = [0; 48];
    hex::decode_to_slice("25629347589242761d31f826ba4b757b", &mut key[..16]).unwrap();
    let page = hex::decode("4f4f95668c83dfb6401762bb2d01a262").unwrap();
    let mut block = [0; 16];
    hex::decode_to_slice("d1a24ddd2721d006bbe45f20d3c9f362", &mut block).unwrap();
    let mut sum = [0; 16];
    hex::decode_to_slice("f7a3b47b846119fae5b7866cf5e5b77e", &mut sum).unwrap();
    let mut expected = Array(sum);
    Aes256Enc::new(&Array([0; 32])).encrypt_block(&mut expected);
    let mut tag = [[0; 16]];
    MacKey::new(&key).tags(&[&page], &[block], &mut tag).unwrap();
    assert_eq!(tag, [expected.0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_kernel_and_its_twin_give_the_same(seed: u8, blocks in prop_oneof![1..200_usize, Just(256), Just(4096)], pages in 0..5_usize) {
        let page: Vec<u8> = (0..blocks * 16).map(|at| ((at * 31) >> 3).to_le_bytes()[0] ^ seed).collect();
        let pages = vec![page.as_slice(); pages];
        let ends: Vec<[u8; 16]> = (0..pages.len()).map(|at| (at as u128 + u128::from(seed)).to_be_bytes()).collect();
        let (mut one, mut other) = (vec![[0; 16]; pages.len()], vec![[1; 16]; pages.len()]);
        MacKey::new(&key(seed)).tags(&pages, &ends, &mut one).unwrap();
        MacKey::without_kernel(&key(seed)).tags(&pages, &ends, &mut other).unwrap();
        prop_assert_eq!(one, other);
    }
}

#[test]
fn every_bit_of_page_block_and_keys_counts() {
    let page = [0x5a; 512];
    let tag = |key: &[u8; 48], page: &[u8], block: [u8; 16]| {
        let mut tag = [[0; 16]];
        MacKey::new(key).tags(&[page], &[block], &mut tag).unwrap();
        tag[0]
    };
    let all = tag(&key(1), &page, [0; 16]);
    for at in [0, 15, 255, 511] {
        let mut other = page;
        other[at] ^= 0x80;
        assert_ne!(tag(&key(1), &other, [0; 16]), all);
    }
    assert_ne!(tag(&key(1), &page, 1_u128.to_be_bytes()), all);
    for at in [0, 15, 16, 47] {
        let mut other = key(1);
        other[at] ^= 1;
        assert_ne!(tag(&other, &page, [0; 16]), all);
    }
}

#[test]
fn wrong_calls_write_nothing() {
    let key = MacKey::new(&key(0));
    let page = [0; 48];
    let mut tags = [[7; 16]; BATCH + 1];
    let pages = [page.as_slice(); BATCH + 1];
    let ends = [[0; 16]; BATCH + 1];
    assert_eq!(key.tags(&pages, &ends, &mut tags), Err(CryptoError::TooManyPages(BATCH + 1)));
    let differ = |found| Err(CryptoError::CountMismatch { expected: 2, found });
    assert_eq!(key.tags(&pages[..2], &ends[..1], &mut tags[..2]), differ(1));
    assert_eq!(key.tags(&pages[..2], &ends[..2], &mut tags[..3]), differ(3));
    assert_eq!(key.tags(&[&page, &page[..40]], &ends[..2], &mut tags[..2]), Err(CryptoError::PageLength(40)));
    assert_eq!(tags, [[7; 16]; BATCH + 1]);
    assert_eq!(alloc::format!("{key:?}"), "MacKey(..)");
}
