//! Known answers (s390-formats §11) and files of the real tools.

use alloc::vec::Vec;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::*;
use crate::owner::crypto::{HostPrivateKey, RequestKey, SlotError, vectors};
use crate::owner::request::{BuildError, ConfigUid, ImageIdentity, OpenError, RequestSecrets};

const HEADER: &[u8] = include_bytes!("../../../tests/fixtures/pvattest/se.hdr");
const HOST1: &str = include_str!("../../../tests/fixtures/keys/host1.key.pem");

struct Case {
    request: &'static [u8],
    response: &'static [u8],
    tampered: &'static [u8],
    arpk: &'static [u8],
    yaml: &'static str,
    expected: &'static str,
}

macro_rules! case {
    ($name:literal) => {
        Case {
            request: include_bytes!(concat!("../../../tests/fixtures/pvattest/", $name, "/request.bin")),
            response: include_bytes!(concat!("../../../tests/fixtures/pvattest/", $name, "/response-simulated.bin")),
            tampered: include_bytes!(concat!("../../../tests/fixtures/pvattest/", $name, "/response-tampered.bin")),
            arpk: include_bytes!(concat!("../../../tests/fixtures/pvattest/", $name, "/arpk.bin")),
            yaml: include_str!(concat!("../../../tests/fixtures/pvattest/", $name, "/verify-result.yaml")),
            expected: include_str!(concat!("../../../tests/fixtures/pvattest/", $name, "/expected.json")),
        }
    };
}

const CASES: [Case; 2] = [case!("r1-default"), case!("r3-phkh-both")];

fn secrets() -> RequestSecrets {
    RequestSecrets { iv: vectors::seq(0x10), key: RequestKey::new(vectors::seq(0)), customer: vectors::customer_pair() }
}

fn known_arcb() -> Vec<u8> {
    AttestationRequest {
        flags: AttestationFlags::IMAGE_PHKH | AttestationFlags::ATTESTATION_PHKH,
        measurement_key: vectors::seq(0).into(),
        nonce: Some(vectors::seq(0xf0).into()),
    }
    .seal(&secrets(), &[vectors::host_private().public()])
    .unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn known_request() {
    let arcb = known_arcb();
    assert_eq!(arcb.len(), 400);
    assert_eq!(hex::encode(Sha256::digest(&arcb)), "51bec4fec8b57f9fd18bc1e0709f94f44eb610a94df9336e6f63f6317acf1207");
    let parsed = Arcb::parse(&arcb).unwrap();
    assert_eq!(hex::encode(parsed.tag()), "e5570736cfeec8a04c8535cf9752a86f");
    assert_eq!(parsed.head().attestation_flags().bits(), 0x7000_0000_0000_0000);
    let (opened, host) = parsed.open([&vectors::host_private()]).unwrap();
    assert_eq!(opened.measurement_key.expose(), &vectors::seq::<64>(0));
    assert_eq!(opened.nonce.unwrap().expose(), &vectors::seq::<16>(0xf0));
    assert_eq!(host, vectors::host_private().public().phkh());
}

#[test]
fn known_measurement_and_response() {
    let image = ImageIdentity {
        pld: vectors::bytes(vectors::PLD).try_into().unwrap(),
        ald: vectors::bytes(vectors::ALD).try_into().unwrap(),
        tld: vectors::bytes(vectors::TLD).try_into().unwrap(),
        tag: vectors::bytes(vectors::HEADER_TAG).try_into().unwrap(),
    };
    let cuid = ConfigUid(vectors::seq(0xc0));
    let phkh = vectors::host_private().public().phkh();
    let additional =
        AdditionalData { image_phkh: Some(phkh), attestation_phkh: Some(phkh), ..AdditionalData::default() }.encode();
    let nonce = Nonce::new(vectors::seq(0xf0));
    let measured =
        Measured { image: &image, cuid: &cuid, user_data: b"hello", nonce: Some(&nonce), additional: &additional };
    let measurement = measured.measure(&vectors::seq(0).into()).unwrap();
    assert_eq!(
        hex::encode(measurement.0),
        concat!(
            "1b7d97c306a2d94c2425589d8941697d57257a04300e4bfe75629d833d483046",
            "f9ab684016f3e46b26f1f43621a5145348dc17d1048841d5213a7648d77eedcc"
        )
    );
    let response = ExchangeResponse {
        arcb: known_arcb(),
        measurement: measurement.0.to_vec(),
        additional,
        user_data: b"hello".to_vec(),
        cuid,
    };
    let result = verify(&response, &secrets().key, &image).unwrap();
    assert_eq!(result.verdict, Verdict::Verified);
    assert!(result.to_yaml().ends_with("user_data: '0x68656c6c6f'\n"));
    let file = ExchangeFile::from(response.clone()).encode().unwrap();
    assert_eq!(file.len(), 613);
    assert_eq!(hex::encode(Sha256::digest(&file)), "9a59668c0c972aa1d3b326a1052557cd0881779eac97024ec69025d97c514568");
    assert_eq!(ExchangeFile::parse(&file).unwrap().into_response().unwrap(), response);

    // Whatever is measured changes the verdict when it changes.
    let mut other = response.clone();
    other.cuid.0[15] ^= 1;
    assert_eq!(verify(&other, &secrets().key, &image).unwrap().verdict, Verdict::Differs);
    let mut other = response.clone();
    other.user_data.push(0);
    assert_eq!(verify(&other, &secrets().key, &image).unwrap().verdict, Verdict::Differs);
    let mut other = response.clone();
    other.additional.pop();
    assert_eq!(verify(&other, &secrets().key, &image).unwrap().verdict, Verdict::Differs);
    let mut other = response.clone();
    other.measurement.push(0);
    assert_eq!(verify(&other, &secrets().key, &image).unwrap().verdict, Verdict::Differs);
    let mut changed = image;
    changed.tag[0] ^= 0x80;
    assert_eq!(verify(&response, &secrets().key, &changed).unwrap().verdict, Verdict::Differs);
    let wrong = verify(&response, &RequestKey::new([0; 32]), &image).unwrap_err();
    assert_eq!(wrong, VerifyError::Request(ArcbError::Unseal(OpenError::Tag)));
}

#[test]
fn requests_of_the_real_tool() {
    for case in &CASES {
        let expected: Value = serde_json::from_str(case.expected).unwrap();
        let file = ExchangeFile::parse(case.request).unwrap();
        let arcb = Arcb::parse(&file.arcb).unwrap();
        let head = arcb.head();
        assert_eq!(u64::from(head.header.size.get()), expected["arcb_len"].as_u64().unwrap());
        assert_eq!(hex::encode(head.header.iv), text(&expected["iv_hex"]));
        assert_eq!(hex::encode(head.flags.to_bytes()), text(&expected["flags_hex"]));
        head.check_flags(AttestationFlags::KNOWN).unwrap();
        head.check_algorithm().unwrap();
        let customer = zerocopy::IntoBytes::as_bytes(arcb.customer_key());
        assert_eq!(hex::encode(customer), text(&expected["cust_pub_key_hex"]));
        let [slot] = arcb.key_slots() else { panic!("one slot") };
        let wanted = &expected["slots"][0];
        assert_eq!(hex::encode(slot.phkh.0), text(&wanted["phkh_hex"]));
        assert_eq!(hex::encode(slot.wrapped_key), text(&wanted["wrpk_hex"]));
        assert_eq!(hex::encode(slot.tag), text(&wanted["kst_hex"]));

        let key = RequestKey::from_slice(case.arpk).unwrap();
        let by_owner = arcb.open_with_key(&key).unwrap();
        let (by_machine, phkh) = arcb.open([&HostPrivateKey::from_pem(HOST1).unwrap()]).unwrap();
        assert_eq!(phkh, slot.phkh);
        assert_eq!(by_owner.measurement_key, by_machine.measurement_key);
        assert_eq!(hex::encode(by_owner.measurement_key.expose()), text(&expected["measurement_key_hex"]));
        assert_eq!(by_owner.nonce, by_machine.nonce);
        assert_eq!(hex::encode(by_owner.nonce.unwrap().expose()), text(&expected["nonce_hex"]));

        let size = AdditionalData::expected_size(head.attestation_flags());
        assert_eq!(Some(size), expected["expected_additional"].as_u64().and_then(|n| usize::try_from(n).ok()));
        // Written again, the file is the same, byte by byte.
        let again = ExchangeFile::request(file.arcb.clone(), size).unwrap();
        assert_eq!(again.encode().unwrap(), case.request);
    }
}

#[test]
fn responses_of_the_real_tool() {
    let image = ImageIdentity::from_header(HEADER).unwrap();
    for case in &CASES {
        let expected: Value = serde_json::from_str(case.expected).unwrap();
        let key = RequestKey::from_slice(case.arpk).unwrap();
        let response = ExchangeFile::parse(case.response).unwrap().into_response().unwrap();
        assert_eq!(ExchangeFile::from(response.clone()).encode().unwrap(), case.response);
        assert_eq!(hex::encode(response.cuid.0), text(&expected["response"]["cuid_hex"]));
        assert_eq!(hex::encode(&response.additional), text(&expected["response"]["additional_hex"]));
        assert_eq!(hex::encode(&response.measurement), text(&expected["response"]["measurement_hex"]));
        let result = verify(&response, &key, &image).unwrap();
        assert_eq!(result.verdict, Verdict::Verified);
        assert_eq!(result.to_yaml(), case.yaml);

        let tampered = ExchangeFile::parse(case.tampered).unwrap().into_response().unwrap();
        assert_eq!(verify(&tampered, &key, &image).unwrap().verdict, Verdict::Differs);
    }
}

#[test]
fn every_changed_bit_of_a_request_is_refused() {
    let arcb = known_arcb();
    let key = secrets().key;
    for bit in 0..arcb.len() * 8 {
        let mut changed = arcb.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let outcome = Arcb::parse(&changed).and_then(|arcb| arcb.open_with_key(&key));
        assert!(outcome.is_err(), "bit {bit}");
    }
}

#[test]
fn every_length_but_the_right_one_is_refused() {
    let mut arcb = known_arcb();
    arcb.push(0);
    for length in (0..400).chain([401]) {
        let error = Arcb::parse(&arcb[..length]).unwrap_err();
        assert!(matches!(error, ArcbError::Length { actual, .. } if actual == length));
        assert_eq!(error.rc(), 0x107);
    }
}

#[test]
fn several_machines_and_no_machine() {
    let request = AttestationRequest { flags: AttestationFlags::empty(), measurement_key: [1; 64].into(), nonce: None };
    let other = HostPrivateKey::from_pem(HOST1).unwrap();
    let known = vectors::host_private();
    let arcb = request.seal(&secrets(), &[known.public(), other.public()]).unwrap();
    assert_eq!(arcb.len(), 304 + 160);
    let parsed = Arcb::parse(&arcb).unwrap();
    for host in [&known, &other] {
        let (opened, phkh) = parsed.open([host]).unwrap();
        assert_eq!(phkh, host.public().phkh());
        assert!(opened.nonce.is_none());
    }
    let stranger = HostPrivateKey::from_scalar(&[9; 30]).unwrap();
    let error = parsed.open([&stranger]).unwrap_err();
    assert_eq!(error, ArcbError::Unseal(OpenError::Slot(SlotError::NoMatchingSlot)));
    assert_eq!(error.rc(), 0x10c);
    assert_eq!(request.seal(&secrets(), &[]).unwrap_err(), BuildError::HostKeys(0));
    let many = alloc::vec![known.public(); 256];
    assert_eq!(request.seal(&secrets(), &many).unwrap_err(), BuildError::HostKeys(256));
}

#[test]
fn damaged_exchange_files() {
    let good = CASES[1].response;
    assert_eq!(ExchangeFile::parse(b"pvattes").unwrap_err(), ExchangeError::Magic);
    for length in 8..good.len() {
        assert_eq!(ExchangeFile::parse(&good[..length]).unwrap_err(), ExchangeError::Truncated);
    }
    let with = |offset: usize, value: u32| {
        let mut file = good.to_vec();
        file[offset..offset + 4].copy_from_slice(&value.to_be_bytes());
        ExchangeFile::parse(&file)
    };
    assert_eq!(with(8, 0x200).unwrap_err(), ExchangeError::Version(0x200));
    assert_eq!(with(28, 63).unwrap_err(), ExchangeError::Truncated);
    assert_eq!(with(28, u32::MAX).unwrap_err(), ExchangeError::Truncated);
    assert_eq!(with(28, 0).unwrap_err(), ExchangeError::Missing("attestation request"));
    assert_eq!(with(32, 0x8001).unwrap_err(), ExchangeError::Size { entry: "measurement", size: 0x8001 });
    assert_eq!(with(48, 257).unwrap_err(), ExchangeError::Size { entry: "user data", size: 257 });
    assert_eq!(with(56, 15).unwrap_err(), ExchangeError::Size { entry: "configuration id", size: 15 });
    assert_eq!(with(56, 0).unwrap().into_response().unwrap_err(), ExchangeError::Missing("configuration id"));
    assert_eq!(with(32, 0).unwrap().into_response().unwrap_err(), ExchangeError::Missing("measurement"));
    let request = ExchangeFile::parse(CASES[0].request).unwrap();
    assert_eq!(request.into_response().unwrap_err(), ExchangeError::Missing("measurement"));
}

#[test]
fn too_much_user_data() {
    let image = ImageIdentity::from_header(HEADER).unwrap();
    let long = [0; 257];
    let measured = Measured { image: &image, cuid: &ConfigUid::ANY, user_data: &long, nonce: None, additional: &[] };
    let error = measured.measure(&[0; 64].into()).unwrap_err();
    assert_eq!((error.expected, error.actual), (256, 257));
}
