use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use aes::Aes256;
use cipher::KeyInit;
use cipher::array::Array;
use proptest::prelude::*;
use xts_mode::Xts128;

use super::*;

fn reference(key: &[u8; 64]) -> Xts128<Aes256> {
    let (data, tweak) = key.split_at(32);
    Xts128::new(Aes256::new_from_slice(data).unwrap(), Aes256::new_from_slice(tweak).unwrap())
}

/// Low byte of a number.
fn low(value: usize) -> u8 {
    value.to_le_bytes()[0]
}

fn bytes(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|i| low(i.wrapping_mul(0x9e37_79b1) >> 13) ^ seed).collect()
}

/// IEEE 1619, annex B, vector 10.
#[test]
fn ieee_1619_vector_10() {
    let mut key = [0; 64];
    hex::decode_to_slice("2718281828459045235360287471352662497757247093699959574966967627", &mut key[..32]).unwrap();
    hex::decode_to_slice("3141592653589793238462643383279502884197169399375105820974944592", &mut key[32..]).unwrap();
    let mut tweak = [0; 16];
    tweak[0] = 0xff;
    let plain: Vec<u8> = (0..512).map(low).collect();
    let expected = hex::decode(concat!(
        "1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b",
        "5d31e276f8fe4a8d66b317f9ac683f44680a86ac35adfc3345befecb4bb188fd",
        "5776926c49a3095eb108fd1098baec70aaa66999a72a82f27d848b21d4a741b0",
        "c5cd4d5fff9dac89aeba122961d03a757123e9870f8acf1000020887891429ca",
        "2a3e7a7d7df7b10355165c8b9a6d0a7de8b062c4500dc4cd120c0f7418dae3d0",
        "b5781c34803fa75421c790dfe1de1834f280d7667b327f6c8cd7557e12ac3a0f",
        "93ec05c52e0493ef31a12d3d9260f79a289d6a379bc70c50841473d1a8cc81ec",
        "583e9645e07b8d9670655ba5bbcfecc6dc3966380ad8fecb17b6ba02469a020a",
        "84e18e8f84252070c13e9f1f289be54fbc481457778f616015e1327a02b140f1",
        "505eb309326d68378f8374595c849d84f4c333ec4423885143cb47bd71c5edae",
        "9be69a2ffeceb1bec9de244fbe15992b11b77c040f12bd8f6a975a44a0f90c29",
        "a9abc3d4d893927284c58754cce294529f8614dcd2aba991925fedc4ae74ffac",
        "6e333b93eb4aff0479da9a410e4450e0dd7ae4c6e2910900575da401fc07059f",
        "645e8b7e9bfdef33943054ff84011493c27b3429eaedb4ed5376441a77ed4385",
        "1ad77f16f541dfd269d50d6a5f14fb0aab1cbb4c1550be97f7ab4066193c4caa",
        "773dad38014bd2092fa755c824bb5e54c4f36ffda9fcea70b9c6e693e148c151",
    ))
    .unwrap();
    let key = XtsKey::new(&key);
    let mut sealed = vec![0; 512];
    key.encrypt_page(tweak, &plain, &mut sealed).unwrap();
    assert_eq!(sealed, expected);
    let mut opened = vec![0; 512];
    key.decrypt_page(tweak, &sealed, &mut opened).unwrap();
    assert_eq!(opened, plain);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn one_page_equals_the_reference(
        key in any::<[u8; 32]>(),
        tweak in any::<[u8; 16]>(),
        blocks in prop_oneof![1..200_usize, Just(256), Just(4096)],
        seed in any::<u8>(),
    ) {
        let mut full = [0; 64];
        full[..32].copy_from_slice(&key);
        full[32..].copy_from_slice(&key.map(|b| !b));
        let plain = bytes(blocks * 16, seed);
        let mut expected = plain.clone();
        reference(&full).encrypt_sector(&mut expected, Array(tweak));

        for key in [XtsKey::new(&full), XtsKey::without_kernel(&full)] {
            let mut sealed = vec![0; plain.len()];
            key.encrypt_page(tweak, &plain, &mut sealed).unwrap();
            prop_assert_eq!(&sealed, &expected);
            let mut opened = vec![0; plain.len()];
            key.decrypt_page(tweak, &sealed, &mut opened).unwrap();
            prop_assert_eq!(&opened, &plain);
            key.encrypt_page_in_place(tweak, &mut opened).unwrap();
            prop_assert_eq!(&opened, &expected);
            key.decrypt_page_in_place(tweak, &mut opened).unwrap();
            prop_assert_eq!(&opened, &plain);
        }
    }

    #[test]
    fn ranges_equal_single_pages(pages in 0..70_usize, page_blocks in 1..70_usize, seed in any::<u8>()) {
        let key = XtsKey::new(&core::array::from_fn(|i| low(i) ^ seed));
        let tweak = |index: u64| (u128::from(index) << 12 | u128::from(seed)).to_be_bytes();
        let page_bytes = page_blocks * 16;
        let plain = bytes(pages * page_bytes, seed);
        let mut expected = plain.clone();
        for (index, page) in expected.chunks_mut(page_bytes).enumerate() {
            key.encrypt_page_in_place(tweak(index as u64), page).unwrap();
        }
        let mut sealed = vec![0; plain.len()];
        key.encrypt_range(page_bytes, tweak, &plain, &mut sealed).unwrap();
        prop_assert_eq!(&sealed, &expected);
        let mut opened = vec![0; plain.len()];
        key.decrypt_range(page_bytes, tweak, &sealed, &mut opened).unwrap();
        prop_assert_eq!(&opened, &plain);
        key.encrypt_range_in_place(page_bytes, tweak, &mut opened).unwrap();
        prop_assert_eq!(&opened, &expected);
        key.decrypt_range_in_place(page_bytes, tweak, &mut opened).unwrap();
        prop_assert_eq!(&opened, &plain);

        let count = pages.min(BATCH);
        let tweaks: Vec<_> = (0..count as u64).map(tweak).collect();
        let from: Vec<&[u8]> = plain.chunks(page_bytes).take(count).collect();
        let mut scattered = vec![vec![0; page_bytes]; count];
        let mut to: Vec<&mut [u8]> = scattered.iter_mut().map(Vec::as_mut_slice).collect();
        key.encrypt_pages(&tweaks, &from, &mut to).unwrap();
        prop_assert_eq!(scattered.concat(), &expected[..count * page_bytes]);
        let from: Vec<&[u8]> = scattered.iter().map(Vec::as_slice).collect();
        let mut back = vec![vec![0; page_bytes]; count];
        let mut to: Vec<&mut [u8]> = back.iter_mut().map(Vec::as_mut_slice).collect();
        key.decrypt_pages(&tweaks, &from, &mut to).unwrap();
        prop_assert_eq!(back.concat(), &plain[..count * page_bytes]);
    }
}

#[test]
fn wrong_shapes_are_refused_and_write_nothing() {
    let key = XtsKey::new(&[1; 64]);
    let mut out = [9; 64];
    assert_eq!(key.encrypt_page([0; 16], &[], &mut []), Err(CryptoError::PageLength(0)));
    assert_eq!(key.encrypt_page([0; 16], &[0; 17], &mut out[..17]), Err(CryptoError::PageLength(17)));
    assert_eq!(
        key.decrypt_page([0; 16], &[0; 32], &mut out),
        Err(CryptoError::LengthMismatch { expected: 32, found: 64 })
    );
    assert_eq!(key.decrypt_page_in_place([0; 16], &mut out[..15]), Err(CryptoError::PageLength(15)));
    assert_eq!(key.encrypt_range(0, |_| [0; 16], &[0; 64], &mut out), Err(CryptoError::PageLength(0)));
    assert_eq!(key.encrypt_range(48, |_| [0; 16], &[0; 64], &mut out), Err(CryptoError::PageLength(64)));
    assert_eq!(
        key.encrypt_range(16, |_| [0; 16], &[0; 48], &mut out),
        Err(CryptoError::LengthMismatch { expected: 48, found: 64 })
    );
    let many = [[0_u8; 16].as_slice(); BATCH + 1];
    assert_eq!(key.encrypt_pages(&[], &many, &mut []), Err(CryptoError::TooManyPages(BATCH + 1)));
    assert_eq!(
        key.encrypt_pages(&[], &many[..1], &mut [&mut out[..16]]),
        Err(CryptoError::CountMismatch { expected: 1, found: 0 })
    );
    assert_eq!(out, [9; 64]);
}

#[test]
fn debug_shows_nothing() {
    assert_eq!(format!("{:?}", XtsKey::new(&[1; 64])), "XtsKey(..)");
}

#[test]
fn a_fresh_key_is_drawn() {
    let drawn = XtsKey::generate(&mut crate::counting::Counting(5));
    assert_eq!(drawn.expose_key(), &core::array::from_fn(|i| low(i) + 5));
    let (page, mut one, mut other) = ([7; 64], [0; 64], [0; 64]);
    drawn.encrypt_page([1; 16], &page, &mut one).unwrap();
    XtsKey::new(drawn.expose_key()).encrypt_page([1; 16], &page, &mut other).unwrap();
    assert_eq!(one, other);
}

/// Every form, in both directions, with every wrong shape.
#[test]
fn no_form_takes_a_wrong_shape() {
    type Form = fn(&XtsKey, usize, &[u8], &mut [u8]) -> Result<(), CryptoError>;
    const T: [u8; 16] = [3; 16];
    let copying: [(Form, bool); 4] = [
        (|key, _, src, dst| key.encrypt_page(T, src, dst), false),
        (|key, _, src, dst| key.decrypt_page(T, src, dst), false),
        (|key, page, src, dst| key.encrypt_range(page, |_| T, src, dst), true),
        (|key, page, src, dst| key.decrypt_range(page, |_| T, src, dst), true),
    ];
    let in_place: [(Form, bool); 4] = [
        (|key, _, _, dst| key.encrypt_page_in_place(T, dst), false),
        (|key, _, _, dst| key.decrypt_page_in_place(T, dst), false),
        (|key, page, _, dst| key.encrypt_range_in_place(page, |_| T, dst), true),
        (|key, page, _, dst| key.decrypt_range_in_place(page, |_| T, dst), true),
    ];
    let key = XtsKey::new(&[1; 64]);
    let src = vec![5; UNIT_LIMIT + 16];
    let mut dst = vec![9; UNIT_LIMIT + 16];
    for (form, ranges) in copying.into_iter().chain(in_place) {
        let mut call = |page, from, to| form(&key, page, &src[..from], &mut dst[..to]);
        for bytes in [15, 17, UNIT_LIMIT + 16] {
            assert_eq!(call(bytes, bytes, bytes), Err(CryptoError::PageLength(bytes)));
        }
        if ranges {
            assert_eq!(call(0, 64, 64), Err(CryptoError::PageLength(0)));
            assert_eq!(call(48, 64, 64), Err(CryptoError::PageLength(64)));
            assert_eq!(call(64, 0, 0), Ok(()), "a range of no page");
        } else {
            assert_eq!(call(0, 0, 0), Err(CryptoError::PageLength(0)));
        }
    }
    for (form, _) in copying {
        let differ = CryptoError::LengthMismatch { expected: 32, found: 64 };
        assert_eq!(form(&key, 16, &src[..32], &mut dst[..64]), Err(differ));
    }
    let one = [&src[..16]];
    let count = Err(CryptoError::CountMismatch { expected: 1, found: 2 });
    assert_eq!(key.encrypt_pages(&[T, T], &one, &mut [&mut dst[..16]]), count);
    assert_eq!(key.decrypt_pages(&[T, T], &one, &mut [&mut dst[..16]]), count);
    assert!(dst.iter().all(|byte| *byte == 9), "nothing is written");
}

/// Tweak of a page in [`every_form_gives_the_pages_of_the_reference`].
fn tweak_of(page: u64) -> [u8; 16] {
    (u128::from(page) << 64 | 5).to_le_bytes()
}

/// Bytes of a page there: one stripe of 64 blocks, and one block more.
const ODD_PAGE: usize = 65 * 16;

/// Calls a form that takes one page for each page of `to`, which begins as `from`.
fn in_place(from: &[u8], to: &mut [u8], mut form: impl FnMut([u8; 16], &mut [u8]) -> Result<(), CryptoError>) {
    to.copy_from_slice(from);
    (0..).zip(to.chunks_mut(ODD_PAGE)).for_each(|(n, page)| form(tweak_of(n), page).unwrap());
}

/// Calls a form that takes lists with as many pages as it takes.
fn in_lists(
    from: &[u8],
    to: &mut [u8],
    mut form: impl FnMut(&[[u8; 16]], &[&[u8]], &mut [&mut [u8]]) -> Result<(), CryptoError>,
) {
    let batch = BATCH * ODD_PAGE;
    for (n, (from, to)) in (0..).step_by(BATCH).zip(from.chunks(batch).zip(to.chunks_mut(batch))) {
        let from: Vec<&[u8]> = from.chunks(ODD_PAGE).collect();
        let mut to: Vec<&mut [u8]> = to.chunks_mut(ODD_PAGE).collect();
        let tweaks: Vec<_> = (n..).take(from.len()).map(tweak_of).collect();
        form(&tweaks, &from, &mut to).unwrap();
    }
}

/// 40 pages in every form and both directions, against the reference page by page.
#[test]
fn every_form_gives_the_pages_of_the_reference() {
    type Form = fn(&XtsKey, &[u8], &mut [u8]);
    let forms: [(Form, Form); 4] = [
        (
            |key, from, to| key.encrypt_range(ODD_PAGE, tweak_of, from, to).unwrap(),
            |key, from, to| key.decrypt_range(ODD_PAGE, tweak_of, from, to).unwrap(),
        ),
        (
            |key, from, to| {
                to.copy_from_slice(from);
                key.encrypt_range_in_place(ODD_PAGE, tweak_of, to).unwrap();
            },
            |key, from, to| {
                to.copy_from_slice(from);
                key.decrypt_range_in_place(ODD_PAGE, tweak_of, to).unwrap();
            },
        ),
        (
            |key, from, to| in_place(from, to, |tweak, page| key.encrypt_page_in_place(tweak, page)),
            |key, from, to| in_place(from, to, |tweak, page| key.decrypt_page_in_place(tweak, page)),
        ),
        (
            |key, from, to| in_lists(from, to, |tweaks, from, to| key.encrypt_pages(tweaks, from, to)),
            |key, from, to| in_lists(from, to, |tweaks, from, to| key.decrypt_pages(tweaks, from, to)),
        ),
    ];
    let bytes_of_key = core::array::from_fn(low);
    let (key, mode) = (XtsKey::new(&bytes_of_key), reference(&bytes_of_key));
    let plain = bytes(40 * ODD_PAGE, 9);
    let mut sealed = plain.clone();
    (0..).zip(sealed.chunks_mut(ODD_PAGE)).for_each(|(n, page)| mode.encrypt_sector(page, Array(tweak_of(n))));
    for (number, (seal, open)) in forms.into_iter().enumerate() {
        let (mut out, mut back) = (vec![0xee; plain.len()], vec![0xee; plain.len()]);
        seal(&key, &plain, &mut out);
        assert!(out == sealed, "form {number}");
        open(&key, &sealed, &mut back);
        assert!(back == plain, "form {number}");
    }
}
