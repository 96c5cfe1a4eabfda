//! Checks of the plain part.

use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

/// A consistent header with `slots` empty key slots.
fn plain(slots: u64) -> Vec<u8> {
    let size = 560 + 80 * usize::try_from(slots).unwrap();
    let mut bytes = vec![0; size];
    bytes[..8].copy_from_slice(b"IBMSecEx");
    bytes[8..12].copy_from_slice(&0x100u32.to_be_bytes());
    bytes[12..16].copy_from_slice(&u32::try_from(size).unwrap().to_be_bytes());
    bytes[32..40].copy_from_slice(&slots.to_be_bytes());
    bytes[40..48].copy_from_slice(&128u64.to_be_bytes());
    bytes
}

fn with(offset: usize, patch: &[u8]) -> Vec<u8> {
    let mut bytes = plain(1);
    bytes[offset..offset + patch.len()].copy_from_slice(patch);
    bytes
}

#[test]
fn parts_of_a_header_with_two_slots() {
    let mut bytes = plain(2);
    bytes[416] = 1;
    bytes[496] = 2;
    bytes[576] = 3;
    bytes[719] = 4;
    let header = SeHeader::parse(&bytes).unwrap();
    assert_eq!(header.slot_bytes().map(|slot| slot[0]).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(header.aad().len(), 576);
    assert_eq!(header.encrypted_area().len(), 128);
    assert_eq!(header.encrypted_area()[0], 3);
    assert_eq!(header.tag()[15], 4);
    assert_eq!(header.as_bytes(), bytes);
}

#[test]
fn every_check_has_its_error_and_code() {
    let cases: &[(Vec<u8>, HeaderError, (u16, u16))] = &[
        (vec![0; 415], HeaderError::TooShort(415), (0x10a, 0x31)),
        (with(0, b"X"), HeaderError::Magic(*b"XBMSecEx"), (0x104, 1)),
        (with(8, &[0, 0, 2, 0]), HeaderError::Version(HeaderVersion(0x200)), (0x104, 1)),
        (with(39, &[0]), HeaderError::NoSlots, (0x10a, 0x40)),
        (with(47, &[127]), HeaderError::EncryptedSize(127), (0x10a, 0x39)),
        (with(40, &[1]), HeaderError::EncryptedSize(0x0100_0000_0000_0080), (0x10a, 0x39)),
        (with(12, &[0, 0, 0x20, 1]), HeaderError::TooLarge(8193), (0x10a, 0x31)),
        (with(15, &[0x81]), HeaderError::Size { stated: 641, slots: 1 }, (0x10a, 0x31)),
        (with(39, &[2]), HeaderError::Size { stated: 640, slots: 2 }, (0x10a, 0x31)),
        (with(32, &[255; 8]), HeaderError::Size { stated: 640, slots: u64::MAX }, (0x10a, 0x31)),
        (plain(1)[..639].to_vec(), HeaderError::Length { stated: 640, available: 639 }, (0x10a, 0x31)),
        (plain(96), HeaderError::TooLarge(8240), (0x10a, 0x31)),
    ];
    for (bytes, error, code) in cases {
        let got = SeHeader::parse(bytes).unwrap_err();
        assert_eq!(got, *error);
        assert_eq!(got.uv_code(), *code);
    }
    assert_eq!(SeHeader::parse(&plain(95)).unwrap().slot_bytes().len(), 95);
}

#[test]
fn flags_outside_the_supported_ones_are_named() {
    let bytes = with(56, &0x8000_0000_0000_00e0u64.to_be_bytes());
    let header = SeHeader::parse(&bytes).unwrap();
    let unknown = PlaintextControlFlags::from_bits_retain(1 << 63);
    let error = header.check_pcf(PlaintextControlFlags::KNOWN).unwrap_err();
    assert_eq!(error, HeaderError::PlaintextFlags(unknown));
    assert_eq!(error.uv_code(), (0x106, 0x30));
    assert_eq!(header.check_pcf(PlaintextControlFlags::KNOWN | unknown), Ok(()));
    assert_eq!(HeaderView::new(&bytes).unwrap().check_pcf(PlaintextControlFlags::KNOWN), Err(error));
}

#[test]
fn a_header_may_be_followed_by_other_bytes() {
    let mut bytes = plain(1);
    bytes.extend_from_slice(&[7; 9000]);
    assert_eq!(SeHeader::parse_prefix(&bytes).unwrap().as_bytes().len(), 640);
    assert_eq!(SeHeader::parse(&bytes), Err(HeaderError::Length { stated: 640, available: 9640 }));
    bytes.truncate(639);
    assert_eq!(SeHeader::parse_prefix(&bytes), Err(HeaderError::Length { stated: 640, available: 639 }));
    let zero_size = with(12, &[0; 4]);
    assert_eq!(SeHeader::parse_prefix(&zero_size), Err(HeaderError::Size { stated: 0, slots: 1 }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_bytes_give_a_value(bytes in proptest::collection::vec(any::<u8>(), 0..1000)) {
        prop_assert!(SeHeader::parse_prefix(&bytes).is_err());
    }

    #[test]
    fn any_change_of_the_sizes_gives_a_value(at in 8usize..48, byte: u8) {
        if let Ok(header) = SeHeader::parse_prefix(&with(at, &[byte])) {
            prop_assert_eq!(header.as_bytes().len(), 640);
        }
    }
}
