use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::AeadInOut;
use proptest::prelude::*;

use super::super::BATCH;
use super::*;

const PLAIN: &str = concat!(
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72",
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
);
const IV: &str = "cafebabefacedbaddecaf888";

fn array<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).unwrap();
    bytes
}

/// GCM specification (McGrew and Viega), test case 3.
#[test]
fn test_case_3() {
    let key = Gcm128Key::new(&array("feffe9928665731c6d6a8f9467308308"));
    let (mut out, mut tag) = ([0; 64], [[0; 16]]);
    key.seal_pages(&[array(IV)], &[b""], &[&array::<64>(PLAIN)], &mut [&mut out], &mut tag).unwrap();
    assert_eq!(
        hex::encode(out),
        concat!(
            "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e",
            "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985",
        )
    );
    assert_eq!(hex::encode(tag[0]), "4d5c2af327cd64a62cf35abd2ba6fab4");
}

/// GCM specification, test case 15.
#[test]
fn test_case_15() {
    let key = Gcm256Key::new(&array("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"));
    let (mut out, mut tag) = ([0; 64], [[0; 16]]);
    key.seal_pages(&[array(IV)], &[b""], &[&array::<64>(PLAIN)], &mut [&mut out], &mut tag).unwrap();
    assert_eq!(
        hex::encode(out),
        concat!(
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa",
            "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
        )
    );
    assert_eq!(hex::encode(tag[0]), "b094dac5d93471bdec1a502270e3cc6c");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_shape_equals_the_reference(
        blocks in prop_oneof![1..150_usize, Just(256), Just(4096)],
        iv in any::<[u8; 12]>(),
        aad in prop::collection::vec(any::<u8>(), 0..40),
        key in any::<[u8; 32]>(),
    ) {
        let plain: Vec<u8> = (0..blocks * 16).map(|i| (i * 7 + blocks).to_le_bytes()[0]).collect();
        let mut expected = plain.clone();
        let reference = Aes256Gcm::new(&Array(key));
        let tag = reference.encrypt_inout_detached(&Array(iv), &aad, expected.as_mut_slice().into()).unwrap();
        let key = Gcm256Key::new(&key);
        let (mut sealed, mut opened, mut tags) = (vec![0; plain.len()], vec![0; plain.len()], [[0; 16]]);
        key.seal_pages(&[iv], &[&aad], &[&plain], &mut [&mut sealed], &mut tags).unwrap();
        prop_assert_eq!((&sealed, tags[0]), (&expected, tag.0));
        let failed = key.open_pages(&[iv], &[&aad], &[&sealed], &mut [&mut opened], &tags).unwrap();
        prop_assert!(failed.is_none());
        prop_assert_eq!(opened, plain);
    }
}

#[test]
fn a_batch_opens_and_names_what_was_changed() {
    let key = Gcm128Key::new(&[5; 16]);
    let ivs: Vec<[u8; 12]> = (0..32).map(|i| [i; 12]).collect();
    let aads = vec![b"aad".as_slice(); BATCH];
    let plain: Vec<Vec<u8>> = (0..32).map(|i| vec![i; 4096]).collect();
    let mut sealed = vec![vec![0; 4096]; BATCH];
    let mut tags = vec![[0; 16]; BATCH];
    let src: Vec<&[u8]> = plain.iter().map(Vec::as_slice).collect();
    let mut dst: Vec<&mut [u8]> = sealed.iter_mut().map(Vec::as_mut_slice).collect();
    key.seal_pages(&ivs, &aads, &src, &mut dst, &mut tags).unwrap();

    sealed[3][4095] ^= 0x80;
    tags[31][15] ^= 1;
    let mut opened = vec![vec![0xee; 4096]; BATCH];
    let src: Vec<&[u8]> = sealed.iter().map(Vec::as_slice).collect();
    let mut dst: Vec<&mut [u8]> = opened.iter_mut().map(Vec::as_mut_slice).collect();
    let failed = key.open_pages(&ivs, &aads, &src, &mut dst, &tags).unwrap();
    assert_eq!(failed.iter().collect::<Vec<_>>(), [3, 31]);
    for (index, page) in opened.iter().enumerate() {
        if failed.page(index).is_err() {
            assert_eq!(page, &vec![0; 4096]);
        } else {
            assert_eq!(page, &plain[index]);
        }
    }
    let mut other = aads.clone();
    other[0] = b"aae";
    let mut dst: Vec<&mut [u8]> = opened.iter_mut().map(Vec::as_mut_slice).collect();
    assert_eq!(key.open_pages(&ivs, &other, &src, &mut dst, &tags).unwrap().first().unwrap_err().index, 0);
}

#[test]
fn wrong_shapes_are_refused() {
    let key = Gcm256Key::new(&[5; 32]);
    let mut out = [9; 32];
    let count = Err(CryptoError::CountMismatch { expected: 1, found: 0 });
    assert_eq!(key.seal_pages(&[], &[b""], &[&[0; 32]], &mut [&mut out], &mut [[0; 16]]), count);
    assert_eq!(key.seal_pages(&[[0; 12]], &[], &[&[0; 32]], &mut [&mut out], &mut [[0; 16]]), count);
    assert_eq!(key.seal_pages(&[[0; 12]], &[b""], &[&[0; 32]], &mut [], &mut [[0; 16]]), count);
    assert_eq!(key.seal_pages(&[[0; 12]], &[b""], &[&[0; 32]], &mut [&mut out], &mut []), count);
    let count = Err(CryptoError::CountMismatch { expected: 1, found: 0 });
    assert_eq!(key.open_pages(&[], &[b""], &[&[0; 32]], &mut [&mut out], &[[0; 16]]), count);
    assert_eq!(key.open_pages(&[[0; 12]], &[], &[&[0; 32]], &mut [&mut out], &[[0; 16]]), count);
    assert_eq!(key.open_pages(&[[0; 12]], &[b""], &[&[0; 32]], &mut [], &[[0; 16]]), count);
    assert_eq!(key.open_pages(&[[0; 12]], &[b""], &[&[0; 32]], &mut [&mut out], &[]), count);
    assert_eq!(out, [9; 32]);
    assert_eq!(format!("{key:?}"), "GcmKey(..)");
}
