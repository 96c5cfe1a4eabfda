use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use aes::Aes256;
use ccm::Ccm;
use ccm::aead::{AeadInOut, KeyInit};
use cipher::array::Array;
use cipher::consts::{U12, U16};
use proptest::prelude::*;

use super::*;

type Reference = Ccm<Aes256, U16, U12>;

/// Low byte of a number.
fn low(value: usize) -> u8 {
    value.to_le_bytes()[0]
}

struct Batch<const A: usize> {
    key: [u8; 32],
    nonces: Vec<[u8; 12]>,
    aads: Vec<[u8; A]>,
    plain: Vec<Vec<u8>>,
    make: fn(&[u8; 32]) -> CcmKey,
}

impl<const A: usize> Batch<A> {
    fn new(pages: usize, page_bytes: usize, seed: u8) -> Self {
        let byte = |i: usize, page: usize| low(i * 31 + page * 7) ^ low(i >> 8) ^ seed;
        Self {
            key: core::array::from_fn(|i| byte(i, 1)),
            nonces: (0..pages).map(|page| core::array::from_fn(|i| byte(i, page))).collect(),
            aads: (0..pages).map(|page| core::array::from_fn(|i| byte(i + 3, page))).collect(),
            plain: (0..pages).map(|page| (0..page_bytes).map(|i| byte(i, page)).collect()).collect(),
            make: CcmKey::new,
        }
    }

    fn reference(&self) -> (Vec<Vec<u8>>, Vec<[u8; 16]>) {
        let mode = Reference::new(&Array(self.key));
        let mut pages = self.plain.clone();
        let tags = pages
            .iter_mut()
            .zip(&self.nonces)
            .zip(&self.aads)
            .map(|((page, nonce), aad)| {
                mode.encrypt_inout_detached(&Array(*nonce), aad, page.as_mut_slice().into()).unwrap().0
            })
            .collect();
        (pages, tags)
    }

    fn seal(&self) -> (Vec<Vec<u8>>, Vec<[u8; 16]>) {
        let mut sealed: Vec<Vec<u8>> = self.plain.iter().map(|page| vec![0xee; page.len()]).collect();
        let mut tags = vec![[0; 16]; self.plain.len()];
        let src: Vec<&[u8]> = self.plain.iter().map(Vec::as_slice).collect();
        let mut dst: Vec<&mut [u8]> = sealed.iter_mut().map(Vec::as_mut_slice).collect();
        (self.make)(&self.key).seal_pages(&self.nonces, &self.aads, &src, &mut dst, &mut tags).unwrap();
        (sealed, tags)
    }

    fn open(&self, sealed: &[Vec<u8>], tags: &[[u8; 16]]) -> (Vec<Vec<u8>>, FailedPages) {
        let mut opened: Vec<Vec<u8>> = self.plain.iter().map(|page| vec![0xee; page.len()]).collect();
        let src: Vec<&[u8]> = sealed.iter().map(Vec::as_slice).collect();
        let mut dst: Vec<&mut [u8]> = opened.iter_mut().map(Vec::as_mut_slice).collect();
        let failed = (self.make)(&self.key).open_pages(&self.nonces, &self.aads, &src, &mut dst, tags).unwrap();
        (opened, failed)
    }

    /// With the kernel and without.
    fn check(mut self) {
        for make in [CcmKey::new, CcmKey::without_kernel] {
            self.make = make;
            let (sealed, tags) = self.seal();
            assert_eq!((&sealed, &tags), (&self.reference().0, &self.reference().1));
            let (opened, failed) = self.open(&sealed, &tags);
            assert!(failed.is_none());
            assert_eq!(opened, self.plain);
        }
    }
}

/// Project Wycheproof, AES-CCM with 256-bit key, 96-bit nonce and 128-bit tag: tests 189 to 195 share this sealed block.
#[test]
fn wycheproof_block_and_its_bad_tags() {
    let array = |text: &str| -> [u8; 16] { hex::decode(text).unwrap().try_into().unwrap() };
    let key = CcmKey::new(&core::array::from_fn(low));
    let nonces = [core::array::from_fn(|i| 0x50 + low(i))];
    let plain: [u8; 16] = core::array::from_fn(|i| 0x20 + low(i));
    let (mut sealed, mut tag) = ([0; 16], [[0; 16]]);
    key.seal_pages::<0>(&nonces, &[[]], &[&plain], &mut [&mut sealed], &mut tag).unwrap();
    assert_eq!(sealed, array("9d2a30abc5e178f7c6317ec9498dac39"));
    assert_eq!(tag[0], array("743d2288f21a70f46d7fd02346282bef").map(|byte| !byte));
    for bad in [
        "8bc2ddf70de58f8b92802fdcb9d7d410",
        "8bc2dd770de58f8b92802fdcb9d7d490",
        "743d2288f21a70f46d7fd02346282bef",
        "00000000000000000000000000000000",
        "ffffffffffffffffffffffffffffffff",
        "0b425df78d650f8b1200af5c39575490",
        "8ac3dc760ce48e0a93812eddb8d6d511",
    ] {
        let mut opened = [0xee; 16];
        let failed = key.open_pages::<0>(&nonces, &[[]], &[&sealed], &mut [&mut opened], &[array(bad)]).unwrap();
        assert_eq!((failed.bits(), opened), (1, [0; 16]));
    }
    let mut opened = [0; 16];
    assert!(key.open_pages::<0>(&nonces, &[[]], &[&sealed], &mut [&mut opened], &tag).unwrap().is_none());
    assert_eq!(opened, plain);
}

#[test]
fn every_number_of_pages_equals_the_reference() {
    for pages in 0..=BATCH {
        Batch::<16>::new(pages, 16 * (1 + pages * 3), 1).check();
    }
}

#[test]
fn real_page_sizes_equal_the_reference() {
    for page_bytes in [4096, 65536] {
        for pages in [1, 2, 8, 9, BATCH] {
            Batch::<16>::new(pages, page_bytes, 2).check();
        }
    }
}

/// Longer than what is touched ahead, many times.
#[test]
fn a_page_of_more_than_64_kib_equals_the_reference() {
    Batch::<16>::new(2, 18 * 4096 + 16, 5).check();
}

#[test]
fn every_shape_of_additional_data_equals_the_reference() {
    for pages in [1, BATCH] {
        Batch::<0>::new(pages, 4096, 3).check();
        Batch::<1>::new(pages, 4096, 3).check();
        Batch::<13>::new(pages, 4096, 3).check();
        Batch::<14>::new(pages, 4096, 3).check();
        Batch::<15>::new(pages, 4096, 3).check();
        Batch::<30>::new(pages, 4096, 3).check();
        Batch::<31>::new(pages, 4096, 3).check();
        Batch::<32>::new(pages, 4096, 3).check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_shape_equals_the_reference(pages in 1..=BATCH, blocks in 1..150_usize, seed in any::<u8>()) {
        Batch::<16>::new(pages, blocks * 16, seed).check();
        Batch::<32>::new(pages, blocks * 16, seed).check();
        Batch::<8>::new(pages, blocks.div_ceil(32) * 512, seed).check();
    }

    #[test]
    fn a_flip_anywhere_is_refused(pages in 1..=BATCH, at in any::<prop::sample::Index>(), bit in 0..8) {
        let batch = Batch::<16>::new(pages, 256, 4);
        let (sealed, tags) = batch.seal();
        let bad = at.index(pages);
        let flip = 1_u8 << bit;
        let (mut wrong, mut wrong_tags) = (sealed.clone(), tags.clone());
        wrong[bad][at.index(256)] ^= flip;
        wrong_tags[bad][at.index(16)] ^= flip;
        for (sealed, tags) in [(&wrong, &tags), (&sealed, &wrong_tags)] {
            let (opened, failed) = batch.open(sealed, tags);
            prop_assert_eq!(failed.iter().collect::<Vec<_>>(), vec![bad]);
            for (index, page) in opened.iter().enumerate() {
                let zeros = vec![0; 256];
                prop_assert_eq!(page, if index == bad { &zeros } else { &batch.plain[index] });
            }
        }
        let mut other = Batch { nonces: batch.nonces.clone(), ..Batch::<16>::new(pages, 256, 4) };
        other.nonces[bad][at.index(12)] ^= flip;
        prop_assert_eq!(other.open(&sealed, &tags).1.bits(), 1 << bad);
        other.nonces[bad][at.index(12)] ^= flip;
        other.aads[bad][at.index(16)] ^= flip;
        prop_assert_eq!(other.open(&sealed, &tags).1.bits(), 1 << bad);
    }
}

#[test]
fn wrong_shapes_are_refused_and_write_nothing() {
    let key = CcmKey::new(&[1; 32]);
    let mut out = [9; 32];
    let page = [0; 32];
    let count = Err(CryptoError::CountMismatch { expected: 1, found: 0 });
    assert_eq!(key.seal_pages::<0>(&[], &[[]], &[&page], &mut [&mut out], &mut [[0; 16]]), count);
    assert_eq!(key.seal_pages::<0>(&[[0; 12]], &[], &[&page], &mut [&mut out], &mut [[0; 16]]), count);
    assert_eq!(key.seal_pages::<0>(&[[0; 12]], &[[]], &[&page], &mut [&mut out], &mut []), count);
    assert_eq!(key.seal_pages::<0>(&[[0; 12]], &[[]], &[&page], &mut [], &mut [[0; 16]]), count);
    assert_eq!(
        key.seal_pages::<0>(&[[0; 12]], &[[]], &[&page[..20]], &mut [&mut out[..20]], &mut [[0; 16]]),
        Err(CryptoError::PageLength(20))
    );
    assert_eq!(
        key.open_pages::<0>(&[[0; 12]], &[[]], &[&page[..16]], &mut [&mut out], &[[0; 16]]),
        Err(CryptoError::LengthMismatch { expected: 16, found: 32 })
    );
    assert_eq!(
        key.open_pages::<0>(&[], &[[]], &[&page], &mut [&mut out], &[[0; 16]]),
        count.map(|()| FailedPages::NONE)
    );
    assert_eq!(
        key.open_pages::<0>(&[[0; 12]], &[], &[&page], &mut [&mut out], &[[0; 16]]),
        count.map(|()| FailedPages::NONE)
    );
    assert_eq!(
        key.open_pages::<0>(&[[0; 12]], &[[]], &[&page], &mut [&mut out], &[]),
        count.map(|()| FailedPages::NONE)
    );
    let many = [page.as_slice(); BATCH + 1];
    assert_eq!(key.open_pages::<0>(&[], &[], &many, &mut [], &[]), Err(CryptoError::TooManyPages(BATCH + 1)));
    assert_eq!(out, [9; 32]);
    assert_eq!(format!("{key:?}"), "CcmKey(..)");
}

#[test]
fn a_fresh_key_is_drawn() {
    let page = [7; 64];
    let seal = |key: &CcmKey| {
        let (mut out, mut tag) = ([0; 64], [[0; 16]]);
        key.seal_pages(&[[1; 12]], &[[2; 4]], &[&page], &mut [&mut out], &mut tag).unwrap();
        (out, tag)
    };
    let drawn = CcmKey::generate(&mut crate::counting::Counting(5));
    assert_eq!(seal(&drawn), seal(&CcmKey::new(&core::array::from_fn(|i| low(i) + 5))));
}
