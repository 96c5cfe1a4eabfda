//! Known answers (s390-formats §11) and requests of the real tool.

use alloc::vec::Vec;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::Value;
use sha2::{Digest, Sha256};
use zerocopy::IntoBytes;

use super::*;
use crate::abi::secret::{SecretId, SecretType};
use crate::owner::crypto::{Cck, HostPrivateKey, RequestKey, SecretBytes, SlotError, vectors};
use crate::owner::request::{ConfigUid, ImageIdentity, OpenError, RequestSecrets};

const HEADER: &[u8] = include_bytes!("../../../tests/fixtures/pvattest/se.hdr");
const HOST1: &str = include_str!("../../../tests/fixtures/keys/host1.key.pem");
const CCK: &[u8] = include_bytes!("../../../tests/fixtures/pvsecret/cck.bin");

fn secrets() -> RequestSecrets {
    RequestSecrets { iv: vectors::seq(0x10), key: RequestKey::new(vectors::seq(0)), customer: vectors::customer_pair() }
}

fn known_image() -> ImageIdentity {
    ImageIdentity {
        pld: vectors::bytes(vectors::PLD).try_into().unwrap(),
        ald: vectors::bytes(vectors::ALD).try_into().unwrap(),
        tld: vectors::bytes(vectors::TLD).try_into().unwrap(),
        tag: vectors::bytes(vectors::HEADER_TAG).try_into().unwrap(),
    }
}

fn known_request() -> AddSecretRequest {
    AddSecretRequest {
        image: known_image(),
        cuid: ConfigUid(vectors::seq(0xc0)),
        flags: AddSecretFlags::DISABLE_DUMP,
        secret: GuestSecret::association(SecretId::of_name("my secret"), &vectors::seq(0x20)),
        extension: ExtensionSecret::Derived(Cck::new(vectors::seq(0x80))),
    }
}

fn seal(request: &AddSecretRequest) -> Vec<u8> {
    request.seal(&UserData::None, &secrets(), &[vectors::host_private().public()]).unwrap()
}

#[test]
fn known_answer() {
    let request = known_request();
    let bytes = seal(&request);
    assert_eq!(bytes.len(), 1416);
    assert_eq!(hex::encode(Sha256::digest(&bytes)), "fda11644a793d6ade19d7796f691fcc35679fb8cae57f2a8817d1f789d3696b2");
    let parsed = Asrcb::parse(&bytes).unwrap();
    assert_eq!(hex::encode(parsed.tag()), "89dcd0f7dc05c53929a0081f4a7c9f73");
    assert_eq!(parsed.head().check_flags(AddSecretFlags::DISABLE_DUMP).unwrap(), AddSecretFlags::DISABLE_DUMP);
    assert!(parsed.head().is_for_image(&known_image()));
    assert!(parsed.head().is_for_guest(&request.cuid));
    assert!(!parsed.head().is_for_guest(&ConfigUid([1; 16])));
    let (opened, host) = parsed.open([&vectors::host_private()]).unwrap();
    assert_eq!(host, vectors::host_private().public().phkh());
    assert_eq!(opened.secret, request.secret);
    assert_eq!(
        hex::encode(opened.extension.expose()),
        "f6a3460893ac7ae67b6d491895de10f8414c27ecd48351d70c72285b39577a0e"
    );
}

#[test]
fn every_changed_bit_is_refused() {
    let bytes = seal(&known_request());
    let key = secrets().key;
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let outcome = Asrcb::parse(&changed).and_then(|request| request.open_with_key(&key));
        assert!(outcome.is_err(), "bit {bit}");
    }
}

macro_rules! requests {
    ($($name:literal),*) => {
        [$((
            &include_bytes!(concat!("../../../tests/fixtures/pvsecret/", $name, "/request.bin"))[..],
            include_str!(concat!("../../../tests/fixtures/pvsecret/", $name, "/expected.json")),
        )),*]
    };
}

#[test]
fn requests_of_the_real_tool() {
    let image = ImageIdentity::from_header(HEADER).unwrap();
    let cck = Cck::from_slice(CCK).unwrap();
    let text = |value: &Value| value.as_str().map_or_else(alloc::string::String::new, alloc::string::String::from);
    for (bytes, expected) in requests!("s01-meta", "s03-assoc-none", "s05-assoc-ext-cck", "s07-plain-odd", "s17-ec256")
    {
        let expected: Value = serde_json::from_str(expected).unwrap();
        let request = Asrcb::parse(bytes).unwrap();
        let head = request.head();
        assert_eq!(u64::from(head.header.size.get()), expected["len"].as_u64().unwrap());
        assert_eq!(u64::from(head.user_data_kind().0), expected["user_data_kind"].as_u64().unwrap());
        assert_eq!(hex::encode(head.header.iv), text(&expected["iv_hex"]));
        assert_eq!(hex::encode(head.flags.to_bytes()), text(&expected["flags_hex"]));
        assert_eq!(hex::encode(head.cuid.0), text(&expected["cuid_hex"]));
        assert_eq!(hex::encode(request.customer_key().as_bytes()), text(&expected["cust_pub_key_hex"]));
        assert_eq!(hex::encode(request.tag()), text(&expected["tag_hex"]));
        assert!(head.is_for_image(&image));
        let kind = u64::from(request.secret_type().0);
        assert_eq!(kind, expected["secret_hdr"]["type"].as_u64().unwrap());
        let id = request.secret_id().map(|id| hex::encode(id.0)).unwrap_or_default();
        assert_eq!(id, text(&expected["secret_hdr"]["id_hex"]));

        let (by_machine, phkh) = request.open([&HostPrivateKey::from_pem(HOST1).unwrap()]).unwrap();
        assert_eq!(hex::encode(phkh.0), text(&expected["slots"][0]["phkh_hex"]));
        let key = RequestKey::from_slice(&hex::decode(text(&expected["request_key_hex"])).unwrap()).unwrap();
        assert_eq!(request.open_with_key(&key).unwrap(), by_machine);
        assert_eq!(hex::encode(by_machine.secret.expose()), text(&expected["secret_hex"]));
        assert_eq!(hex::encode(by_machine.extension.expose()), text(&expected["extension_secret_hex"]));
        if by_machine.extension != SecretBytes::default() {
            assert_eq!(by_machine.extension, ExtensionSecret::derive(&cck, &image.tag));
        }
    }
}

#[test]
fn side_files_of_the_real_tool() {
    let assoc = GuestSecret::association(
        SecretId::of_name("my-assoc"),
        include_bytes!("../../../tests/fixtures/pvsecret/inputs/assoc.bin"),
    );
    assert_eq!(
        side_file("my-assoc", &assoc).unwrap(),
        include_str!("../../../tests/fixtures/pvsecret/s03-assoc-none/my-assoc.yaml")
    );
    let content = include_bytes!("../../../tests/fixtures/pvsecret/inputs/plain-odd.bin");
    let plain = GuestSecret::plaintext(SecretId::of_name("plain-odd"), content).unwrap();
    assert_eq!(
        side_file("plain-odd", &plain).unwrap(),
        include_str!("../../../tests/fixtures/pvsecret/s07-plain-odd/plain-odd.yaml")
    );
    let ec = GuestSecret::key(SecretType::EC_SECP256R1, SecretId::of_name("ec256"), &[1; 32]).unwrap();
    assert_eq!(side_file("ec256", &ec).unwrap(), include_str!("../../../tests/fixtures/pvsecret/s17-ec256/ec256.yaml"));
    assert_eq!(side_file("x", &GuestSecret::null()), None);
}

#[test]
fn every_type_round_trips() {
    let id = SecretId::from_name("name");
    let mut all: Vec<GuestSecret> = [4, 5, 6, 7, 8, 9, 10, 17, 18, 19, 20, 21]
        .map(SecretType)
        .map(|kind| GuestSecret::key(kind, id, &[0x5a; 128][..kind.fixed_length().unwrap()]).unwrap())
        .to_vec();
    all.push(GuestSecret::null());
    all.push(GuestSecret::association(id, &[1; 32]));
    all.push(GuestSecret::plaintext(id, &[]).unwrap());
    all.push(GuestSecret::plaintext(id, &[3; 8190]).unwrap());
    all.push(GuestSecret::update_cck(&Cck::new([4; 32])));
    let given = SecretBytes::new([0x17; 32]);
    for secret in all {
        let request = AddSecretRequest {
            secret: secret.clone(),
            cuid: ConfigUid::ANY,
            extension: ExtensionSecret::Given(given.clone()),
            ..known_request()
        };
        let bytes = seal(&request);
        let null = secret.kind() == SecretType::NULL;
        assert_eq!(bytes.len(), 1208 + 80 + if null { 16 } else { 48 } + secret.expose().len() + 32 + 16);
        let opened = Asrcb::parse(&bytes).unwrap().open_with_key(&secrets().key).unwrap();
        assert_eq!(opened, OpenedAsrcb { secret, extension: given.clone() });
    }
}

/// Parses after one 32-bit field of a good request was changed.
fn with_field(offset: usize, value: u32) -> AsrcbError {
    let mut bytes = seal(&known_request());
    bytes[offset..offset + 4].copy_from_slice(&value.to_be_bytes());
    Asrcb::parse(&bytes).and_then(|request| request.open_with_key(&secrets().key)).unwrap_err()
}

#[test]
fn codes_in_their_order() {
    assert_eq!(with_field(8, 0x200).rc(), 0x104);
    assert_eq!(with_field(0, 0).rc(), 0x104);
    for size in [0, 1415, 1417, u32::MAX] {
        assert_eq!(with_field(12, size).rc(), 0x105);
    }
    for encrypted in [0, 31, 63, 65, 95, 97, u32::MAX] {
        assert_eq!(with_field(44, encrypted).rc(), 0x105);
    }
    // 32 bytes more leave room for the short secret header: consistent, but authenticated.
    assert_eq!(with_field(44, 96).rc(), 0x108);
    assert_eq!(with_field(36, 0).rc(), 0x106);
    assert_eq!(with_field(36, 2).rc(), 0x105);
    let mut unknown = known_request();
    unknown.flags = AddSecretFlags::from_bits_retain(3);
    let bytes = seal(&unknown);
    let error = Asrcb::parse(&bytes).unwrap().head().check_flags(AddSecretFlags::DISABLE_DUMP).unwrap_err();
    assert_eq!((error, error.rc()), (AsrcbError::Flags(3), 0x107));
    let bytes = seal(&known_request());
    let error = Asrcb::parse(&bytes).unwrap().open([&HostPrivateKey::from_pem(HOST1).unwrap()]).unwrap_err();
    assert_eq!(error, AsrcbError::Decrypt(OpenError::Slot(SlotError::NoMatchingSlot)));
    assert_eq!(error.rc(), 0x108);
    for length in (0..1416).step_by(7) {
        let error = Asrcb::parse(&bytes[..length]).unwrap_err();
        assert!(matches!(error, AsrcbError::Size { actual, .. } if actual == length));
    }
}

/// A request sealed properly around a secret header that lies.
fn lie(kind: u16, length: u32, header_size: usize, value: &[u8]) -> AsrcbError {
    use crate::owner::request::{RequestParts, seal};
    let mut header = Vec::from([0; 48]);
    header[2..4].copy_from_slice(&kind.to_be_bytes());
    header[4..8].copy_from_slice(&length.to_be_bytes());
    header.truncate(header_size);
    let mut secret = value.to_vec();
    secret.extend([0; 32]);
    let parts = RequestParts { magic: *b"asrcbM\0\0", before_keys: &[0; 1000], after_keys: &header, secret: &secret };
    let bytes = seal(&parts, &secrets(), &[vectors::host_private().public()]).unwrap();
    Asrcb::parse(&bytes).unwrap().open([&vectors::host_private()]).unwrap_err()
}

#[test]
fn secrets_the_ultravisor_does_not_take() {
    for kind in [0, 0x0b, 0x10, 0x17, 0xffff] {
        assert_eq!(lie(kind, 32, 48, &[0; 32]), AsrcbError::UnsupportedSecret(SecretType(kind)));
    }
    assert_eq!(lie(0x17, 32, 48, &[0; 32]).rc(), 0x109);
    for (kind, length, header, size) in [
        (2, 31, 48, 32),
        (2, 31, 48, 31),
        (2, 32, 16, 32),
        (1, 0, 48, 0),
        (3, 20, 48, 20),
        (3, 8208, 48, 8208),
        (4, 32, 48, 32),
    ] {
        let error = lie(kind, length, header, &alloc::vec![0; size]);
        assert_eq!(error, AsrcbError::SecretLength { kind: SecretType(kind), length });
        assert_eq!(error.rc(), 0x10a);
    }
}

fn signers() -> [(UserDataSigner, &'static [u8], UserDataKind); 3] {
    [
        (
            UserDataSigner::from_pem(include_str!("../../../tests/fixtures/keys/sign-ec521.pem")).unwrap(),
            include_bytes!("../../../tests/fixtures/keys/sign-ec521.crt.pem"),
            UserDataKind::SIGNED_EC_P521,
        ),
        (
            UserDataSigner::from_pem(include_str!("../../../tests/fixtures/keys/sign-rsa2048.pem")).unwrap(),
            include_bytes!("../../../tests/fixtures/keys/sign-rsa2048.crt.pem"),
            UserDataKind::SIGNED_RSA_2048,
        ),
        (
            UserDataSigner::from_pem(include_str!("../../../tests/fixtures/keys/sign-rsa3072.pem")).unwrap(),
            include_bytes!("../../../tests/fixtures/keys/sign-rsa3072.crt.pem"),
            UserDataKind::SIGNED_RSA_3072,
        ),
    ]
}

#[test]
fn signed_user_data() {
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let hosts = [vectors::host_private().public()];
    let signers = signers();
    for (signer, certificate, kind) in &signers {
        assert_eq!(signer.kind(), *kind);
        let request = known_request();
        let bytes = request.seal_signed(b"user data", signer, &secrets(), &hosts, &mut rng).unwrap();
        let parsed = Asrcb::parse(&bytes).unwrap();
        assert_eq!(parsed.head().user_data_kind(), *kind);
        // Still a good request with the same content.
        assert_eq!(parsed.open([&vectors::host_private()]).unwrap().0.secret, request.secret);
        let verifier = UserDataVerifier::from_document(certificate).unwrap();
        for verifier in [&verifier, &signer.verifier()] {
            let data = parsed.verify_user_data(verifier).unwrap();
            assert_eq!(Some(data.len()), kind.max_data());
            assert!(data.starts_with(b"user data\0"));
        }
        for (other, ..) in signers.iter().filter(|(other, ..)| other.kind() != *kind) {
            assert_eq!(parsed.verify_user_data(&other.verifier()).unwrap_err(), SignatureError::KeyKind);
        }
        // What is signed: the plain part, the data, the ciphertext; not the tag.
        for (byte, good) in [(48, false), (536, false), (1400 - 48, false), (1415, true)] {
            let mut changed = bytes.clone();
            changed[byte] ^= 1;
            let outcome = Asrcb::parse(&changed).unwrap().verify_user_data(&verifier).map(|_| ());
            assert_eq!(outcome, if good { Ok(()) } else { Err(SignatureError::Mismatch) }, "byte {byte}");
        }
        let long = [0; 257];
        let error = request.seal_signed(&long, signer, &secrets(), &hosts, &mut rng).unwrap_err();
        assert!(matches!(error, AddSecretError::UserData(error) if Some(error.expected) == kind.max_data()));
        request.seal_signed(&[], signer, &secrets(), &hosts, &mut rng).unwrap();
    }
}

#[test]
fn layout_of_ec_signatures() {
    let [(signer, ..), ..] = signers();
    let hosts = [vectors::host_private().public()];
    let mut rng = ChaCha20Rng::from_seed([2; 32]);
    let bytes = known_request().seal_signed(&[0xaa; 256], &signer, &secrets(), &hosts, &mut rng).unwrap();
    let area = &bytes[536..1048];
    let length = usize::from(u16::from_be_bytes([area[400], area[401]]));
    assert_eq!(area[..256], [0xaa; 256]);
    assert_eq!(area[256], 0x30);
    assert!((100..=139).contains(&length));
    assert!(area[256 + length..400].iter().chain(&area[402..]).all(|&byte| byte == 0));
    // A length that reaches outside is refused, not followed.
    let mut changed = bytes.clone();
    changed[536 + 400] = 0xff;
    let outcome = Asrcb::parse(&changed).unwrap().verify_user_data(&signer.verifier());
    assert_eq!(outcome.unwrap_err(), SignatureError::Mismatch);
}

#[test]
fn unsigned_user_data() {
    let hosts = [vectors::host_private().public()];
    let policy = policy_user_data(b"policy", "policy.txt").unwrap();
    let bytes = known_request().seal(&policy, &secrets(), &hosts).unwrap();
    let parsed = Asrcb::parse(&bytes).unwrap();
    assert_eq!(parsed.head().user_data_kind(), UserDataKind::UNSIGNED);
    assert_eq!(parsed.head().user_data[..32], Sha256::digest(b"policy")[..]);
    assert!(parsed.head().user_data[32..].starts_with(b"policy.txt\0"));
    parsed.open_with_key(&secrets().key).unwrap();
    let [(signer, ..), ..] = signers();
    assert_eq!(parsed.verify_user_data(&signer.verifier()).unwrap_err(), SignatureError::NotSigned);

    assert!(known_request().seal(&UserData::Unsigned([1; 512].to_vec()), &secrets(), &hosts).is_ok());
    let error = known_request().seal(&UserData::Unsigned([1; 513].to_vec()), &secrets(), &hosts).unwrap_err();
    assert!(matches!(error, AddSecretError::UserData(error) if error.expected == 512));
    assert!(policy_user_data(b"", &"x".repeat(480)).is_ok());
    assert_eq!(policy_user_data(b"", &"x".repeat(481)).unwrap_err().expected, 480);
}

#[test]
fn keys_that_cannot_sign() {
    let ec256 = include_str!("../../../tests/fixtures/pvsecret/inputs/ec-prime256v1.pem");
    assert_eq!(UserDataSigner::from_pem(ec256).unwrap_err(), SignatureError::Key);
    assert_eq!(UserDataSigner::from_pem("").unwrap_err(), SignatureError::Key);
    assert_eq!(UserDataVerifier::from_document(b"").unwrap_err(), SignatureError::Key);
    assert_eq!(UserDataVerifier::from_document(ec256.as_bytes()).unwrap_err(), SignatureError::Key);
}
