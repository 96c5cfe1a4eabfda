//! Known answers, and every way in which opening a header fails.

use alloc::vec::Vec;

use sha2::{Digest, Sha256};
use zerocopy::byteorder::big_endian::{U32, U64};

use super::*;
use crate::abi::psw::Psw;
use crate::abi::se_header::*;
use crate::owner::crypto::{HostPrivateKey, KeySlot, RequestKey, vectors};
use crate::owner::image::{Measurement, PageCipher, PageHasher};

/// The measurement of the components of the known answers.
fn measurement() -> Measurement {
    let cipher = PageCipher::new(&vectors::seq(0));
    let mut hasher = PageHasher::new();
    for (byte, length, address, prefix) in
        [(0xaa, 5000, 0x15000, 0x0028_0102_0304_0506), (0xbb, 10, 0x17000, 0x0046_0708_090a_0b0c)]
    {
        let mut pages = alloc::vec![byte; length];
        pages.resize(length.next_multiple_of(4096), 0);
        cipher.encrypt_component(prefix, &mut pages);
        hasher.component(&pages, address, prefix);
    }
    hasher.finish()
}

fn confidential() -> ConfidentialArea {
    ConfidentialArea {
        cck: vectors::seq(0x80),
        image_key: vectors::seq(0),
        psw: Psw::at(0x17000),
        secret_flags: U64::new(0),
        optional_items: U32::new(0),
        reserved_7c: [0; 4],
    }
}

fn sealed(confidential: &ConfidentialArea, slots: &[KeySlot]) -> SeHeader {
    SeHeader::seal(&HeaderContent {
        iv: vectors::seq(0x10),
        header_key: &RequestKey::new(vectors::seq(0)),
        customer_key: vectors::customer_pair().coordinates(),
        slots,
        pcf: PlaintextControlFlags::default(),
        measurement: &measurement(),
        confidential,
    })
    .expect("the content fits into a header")
}

#[test]
fn known_header() {
    let header = sealed(&confidential(), &[vectors::slot()]);
    assert_eq!(header.as_bytes().len(), 640);
    assert_eq!(header.tag()[..], vectors::bytes("ad1eaeca90c2f06fe58992225683fb4e"));
    assert_eq!(
        hex::encode(Sha256::digest(header.as_bytes())),
        "bfce609d9c53d6b749ab9fcb703ff159aa645b376ca6528c7cea253be5f2f563"
    );
    let opened = header.open(&vectors::host_private()).unwrap();
    assert_eq!(opened.header_key, RequestKey::new(vectors::seq(0)));
    assert_eq!(opened.host_key, vectors::host_private().public().phkh());
    assert_eq!(opened.confidential.cck, vectors::seq(0x80));
    assert_eq!(opened.confidential.image_key, vectors::seq(0));
    assert_eq!(opened.confidential.psw, Psw::at(0x17000));
    assert_eq!(opened.confidential.check_scf(SecretControlFlags::empty()), Ok(()));
    assert_eq!(opened.confidential.check_items(), Ok(()));
}

#[test]
fn every_changed_bit_is_refused() {
    let good = sealed(&confidential(), &[vectors::slot()]);
    let key = RequestKey::new(vectors::seq(0));
    for bit in 0..640 * 8 {
        let mut bytes = good.as_bytes().to_vec();
        bytes[bit / 8] ^= 0x80 >> (bit % 8);
        let result = SeHeader::parse(&bytes).and_then(|header| header.open_with_header_key(&key));
        let error = result.unwrap_err();
        match bit / 8 {
            0..8 => assert!(matches!(error, HeaderError::Magic(_))),
            8..12 => assert!(matches!(error, HeaderError::Version(_))),
            12..16 => assert!(matches!(error, HeaderError::TooLarge(_) | HeaderError::Size { .. })),
            32..39 => assert!(matches!(error, HeaderError::Size { .. })),
            39 if bit % 8 == 7 => assert_eq!(error, HeaderError::NoSlots),
            39 => assert!(matches!(error, HeaderError::Size { .. })),
            40..48 => assert!(matches!(error, HeaderError::EncryptedSize(_))),
            _ => assert_eq!(error, HeaderError::Tag, "bit {bit}"),
        }
    }
}

#[test]
fn a_changed_bit_is_refused_with_the_host_key() {
    let good = sealed(&confidential(), &[vectors::slot()]);
    // One bit of every byte: ECDH is slow.
    for byte in 48..640 {
        let mut bytes = good.as_bytes().to_vec();
        bytes[byte] ^= 1;
        let error = SeHeader::parse(&bytes).unwrap().open(&vectors::host_private()).unwrap_err();
        let expected = match byte {
            64..224 => HeaderError::CustomerKey,
            416..448 => HeaderError::NoMatchingSlot,
            448..496 => HeaderError::Slot,
            _ => HeaderError::Tag,
        };
        assert_eq!(error, expected, "byte {byte}");
    }
}

#[test]
fn refusals_of_the_keys_have_their_codes() {
    let header = sealed(&confidential(), &[vectors::slot()]);
    let stranger = HostPrivateKey::from_scalar(&[9; 50]).unwrap();
    let refused = |result: Result<OpenedHeader, HeaderError>| result.unwrap_err().uv_code();
    assert_eq!(refused(header.open(&stranger)), (0x108, 0x05));
    let mut bytes = header.as_bytes().to_vec();
    bytes[64 + 79] ^= 1;
    assert_eq!(refused(SeHeader::parse(&bytes).unwrap().open(&vectors::host_private())), (0x108, 0x0b));
    let other = RequestKey::new([1; 32]);
    assert_eq!(header.open_with_header_key(&other).unwrap_err(), HeaderError::Tag);
    assert!(header.has_slot_for(&vectors::host_private().public().phkh()));
    assert!(!header.has_slot_for(&stranger.public().phkh()));
}

#[test]
fn secret_flags_and_items_are_judged_apart() {
    let mut area = confidential();
    area.secret_flags = U64::new(0x4000_0000_0000_0001);
    area.optional_items = U32::new(3);
    let opened = sealed(&area, &[vectors::slot()]).open(&vectors::host_private()).unwrap().confidential;
    let error = opened.check_scf(SecretControlFlags::KNOWN).unwrap_err();
    assert_eq!(error, HeaderError::SecretFlags(SecretControlFlags::from_bits_retain(1)));
    assert_eq!(error.uv_code(), (0x109, 0));
    assert_eq!(opened.check_items(), Err(HeaderError::OptionalItems(3)));
    assert_eq!(alloc::format!("{opened:?}"), "ConfidentialArea(..)");
}

#[test]
fn up_to_95_slots() {
    let slots: Vec<KeySlot> = core::iter::repeat_n(vectors::slot(), 95).collect();
    let header = sealed(&confidential(), &slots);
    assert_eq!(header.as_bytes().len(), 8160);
    assert!(header.open(&vectors::host_private()).is_ok());
    assert_eq!(SeHeader::size_for(96), Err(HeaderError::TooManySlots(96)));
    assert_eq!(SeHeader::size_for(0), Err(HeaderError::NoSlots));
    assert_eq!(SeHeader::size_for(usize::MAX), Err(HeaderError::TooManySlots(usize::MAX)));
}
