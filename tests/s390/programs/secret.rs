//! Add-secret requests from both ends: files of the real tool, the program's subcommands, the guest's store.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use crate::owner::{
    Owned, boot_real, each_flip, fixture, image_fixture, options, real_certificate, real_image, real_key, text,
};
use serde_json::Value;
use tempfile::{TempDir, tempdir};
use uv_s390::abi::se_header::{PlaintextControlFlags, SecretControlFlags};
use uv_s390::abi::secret::{SecretId, SecretType};
use uv_s390::abi::uvc::UvRc;
use uv_s390::owner::attest::secret_store_hash;
use uv_s390::owner::crypto::RequestKey;
use uv_s390::owner::request::ConfigUid;
use uv_s390::owner::secret::{Asrcb, AsrcbError, UserDataKind, decode_plaintext};
use uv_s390_programs::secret::{Create, List, Store, Verify};

const CASES: [&str; 5] = ["s01-meta", "s03-assoc-none", "s05-assoc-ext-cck", "s07-plain-odd", "s17-ec256"];
const CUID: &str = "00112233445566778899aabbccddeeff";

fn real_request(case: &str) -> Vec<u8> {
    fs::read(fixture(&format!("pvsecret/{case}/request.bin"))).expect("the test's own input works")
}

/// Runs `create` with the header of the real image and the real host key.
fn create(folder: &TempDir, name: &str, more: &[&str], secret: &[&str]) -> Vec<u8> {
    let (out, certificate, image) = (folder.path().join(name), real_certificate(), real_image());
    let mut arguments =
        vec!["-k", text(&certificate), "--no-verify", "--overwrite", "--hdr", text(&image), "-o", text(&out)];
    arguments.extend(more.iter().chain(secret));
    assert_eq!(options::<Create>(&arguments).run().expect("the test's own input works"), ExitCode::SUCCESS);
    fs::read(&out).expect("the test's own input works")
}

#[test]
fn real_requests_on_the_real_image() {
    // The image wants the extension secret that is derived from its CCK: only one of the requests has it.
    let cuid = ConfigUid::from_hex(CUID).unwrap();
    let mut store = Store::new(boot_real(Some(cuid)));
    for case in CASES {
        let expected = if case == "s05-assoc-ext-cck" { UvRc::EXECUTED } else { UvRc::SECRET_UNABLE };
        assert_eq!(store.add(&real_request(case)).unwrap().rc, expected, "{case}");
    }
    let list = store.list().unwrap();
    let [entry] = &list.entries[..] else { panic!("one secret") };
    assert_eq!((entry.secret_type(), entry.length.get()), (SecretType::ASSOCIATION, 32));
    assert_eq!(entry.id, SecretId::of_name("my-assoc"));
    let mut other = Store::new(boot_real(Some(ConfigUid([9; 16]))));
    assert_eq!(other.add(&real_request("s05-assoc-ext-cck")).unwrap().rc, UvRc::SECRET_UNABLE, "another guest");
}

#[test]
fn the_program_adds_in_order_and_says_so_in_json() {
    let program = uv_test_support::example("s390_secret");
    let run = |cuid: &str, cases: &[&str]| {
        let mut command = Command::new(&program);
        command.args(["add", "--json", "--cuid", cuid, "--image", text(&real_image())]);
        command.args(["--host-key", text(&real_key())]);
        command.args(cases.iter().map(|case| fixture(&format!("pvsecret/{case}/request.bin"))));
        let output = command.output().unwrap();
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), json)
    };
    let (status, json) = run(CUID, &["s05-assoc-ext-cck"]);
    assert_eq!(status, Some(0));
    let id = "6eec84cd1822bf6e166dec08bc6d92042cb45a62878c22c828ed761ee24cd987";
    let path = fixture("pvsecret/s05-assoc-ext-cck/request.bin");
    let expected = serde_json::json!({
        "results": [{ "request": text(&path), "rc": "0x0001", "rrc": "0x0000" }],
        "list": [{ "index": 0, "type": "0x02", "length": 32, "id": id }],
        "locked": false,
    });
    assert_eq!(json, expected);
    let (status, json) = run(CUID, &["s03-assoc-none", "s05-assoc-ext-cck"]);
    assert_eq!((status, &json["results"][0]["rc"]), (Some(1), &Value::from("0x010c")));
    assert_eq!((&json["results"][1]["rc"], json["list"].as_array().unwrap().len()), (&Value::from("0x0001"), 1));
    let (status, json) = run("ff112233445566778899aabbccddeeff", &["s05-assoc-ext-cck"]);
    assert_eq!((status, &json["results"][0]["rc"]), (Some(1), &Value::from("0x010c")));
}

#[test]
fn every_type_is_created_added_listed_and_retrieved() {
    let folder = tempdir().unwrap();
    let input = |name: &str| fixture(&format!("pvsecret/inputs/{name}"));
    let cck = fixture("pvsecret/cck.bin");
    let inputs = [
        ("plain", "plain-14.bin", SecretType::PLAINTEXT),
        ("plain", "plain-max.bin", SecretType::PLAINTEXT),
        ("aes", "aes128.bin", SecretType::AES_128),
        ("aes", "aes192.bin", SecretType::AES_192),
        ("aes", "aes256.bin", SecretType::AES_256),
        ("aes-xts", "xts128.bin", SecretType::AES_XTS_128),
        ("aes-xts", "xts256.bin", SecretType::AES_XTS_256),
        ("hmac-sha", "hmac256.bin", SecretType::HMAC_SHA_256),
        ("hmac-sha", "hmac512.bin", SecretType::HMAC_SHA_512),
        ("ec", "ec-prime256v1.pem", SecretType::EC_SECP256R1),
        ("ec", "ec-secp384r1.pem", SecretType::EC_SECP384R1),
        ("ec", "ec-secp521r1.pem", SecretType::EC_SECP521R1),
        ("ec", "ed25519.pem", SecretType::EC_ED25519),
        ("ec", "ed448.pem", SecretType::EC_ED448),
    ];
    let mut store = Store::new(boot_real(None));
    let mut tags = Vec::new();
    for (kind, file, _) in inputs {
        let (file, secret) = (file, input(file));
        let more = ["--cck", text(&cck)];
        let request = create(&folder, "r", &more, &["retrievable", file, "--secret", text(&secret), "--type", kind]);
        assert!(store.add(&request).unwrap().is_done(), "{file}");
        assert!(folder.path().join(format!("{file}.yaml")).exists());
        tags.push(*Asrcb::parse(&request).unwrap().tag());
    }
    let list = store.list().unwrap();
    assert_eq!(usize::from(list.total), inputs.len());
    for (entry, (_, file, kind)) in list.entries.iter().zip(inputs) {
        assert_eq!((entry.secret_type(), entry.id), (kind, SecretId::of_name(file)));
        let secret = store.retrieve(entry).unwrap().unwrap();
        let plain = fs::read(input(file)).unwrap();
        match kind {
            SecretType::PLAINTEXT => assert!(secret.expose() == plain),
            _ => assert!(!secret.expose().windows(16).any(|window| plain.windows(16).any(|part| part == window))),
        }
    }
    let association = create(&folder, "a", &["--cck", text(&cck)], &["association", "x", "--stdout"]);
    assert!(store.add(&association).unwrap().is_done());
    let list = store.list().unwrap();
    let refused = store.retrieve(list.entries.last().unwrap()).unwrap().unwrap_err();
    assert_eq!(refused.rc, UvRc::RETRIEVE_TYPE);
    tags.push(*Asrcb::parse(&association).unwrap().tag());

    let unlocked = measured_hash(&mut store);
    assert_eq!(unlocked, secret_store_hash(&tags, false));
    assert!(store.lock().unwrap().is_done());
    assert_eq!(store.lock().unwrap().rc, UvRc::SECRET_LOCKED);
    assert_eq!(store.add(&association).unwrap().rc, UvRc::SECRET_LOCKED);
    assert_eq!(measured_hash(&mut store), secret_store_hash(&tags, true));
}

/// The secret store hash as an attestation reports it.
fn measured_hash(store: &mut Store) -> [u8; 64] {
    use uv_s390::owner::attest::{AttestationFlags, AttestationRequest};
    use uv_s390_programs::keys::read_document;
    let mut rng = uv_programs::random::rng(None).expect("the test's own input works");
    let host = *read_document(&real_certificate()).expect("the test's own input works").public_key();
    let secrets = uv_s390::owner::request::RequestSecrets::random(&mut rng);
    let arcb = AttestationRequest::random(AttestationFlags::SECRET_STORE_HASH, &mut rng)
        .seal(&secrets, &[host])
        .expect("the test's own input works");
    let response = uv_s390_programs::attest::measure(store.booted(), arcb, Vec::new())
        .expect("the test's own input works")
        .expect("the test's own input works");
    response.additional.try_into().expect("the test's own input works")
}

#[test]
fn requests_as_the_real_tool_makes_them() {
    // The same inputs give the same plain fields and the same secret; keys and the initialisation vector are drawn anew.
    let folder = tempdir().unwrap();
    let (assoc, cck) = (fixture("pvsecret/inputs/assoc.bin"), fixture("pvsecret/cck.bin"));
    let (plain, ec) = (fixture("pvsecret/inputs/plain-odd.bin"), fixture("pvsecret/inputs/ec-prime256v1.pem"));
    let cases: [(&str, &[&str], Vec<&str>); 5] = [
        ("s01-meta", &[], vec!["meta"]),
        ("s03-assoc-none", &[], vec!["association", "my-assoc", "--input-secret", text(&assoc)]),
        (
            "s05-assoc-ext-cck",
            &["--cck", text(&cck), "--cuid-hex", CUID],
            vec!["association", "my-assoc", "--input-secret", text(&assoc)],
        ),
        ("s07-plain-odd", &[], vec!["retr", "plain-odd", "--secret", text(&plain), "--type", "plain"]),
        ("s17-ec256", &[], vec!["retrievable", "ec256", "--secret", text(&ec), "--type", "ec"]),
    ];
    let host = uv_s390_programs::keys::read_host_private_key(&real_key()).unwrap();
    for (case, more, secret) in cases {
        let (real, own) = (real_request(case), create(&folder, case, more, &secret));
        let (real, own) = (Asrcb::parse(&real).unwrap(), Asrcb::parse(&own).unwrap());
        assert_eq!((real.secret_type(), real.secret_id()), (own.secret_type(), own.secret_id()), "{case}");
        assert_eq!(
            (real.head().flags, real.head().image, real.head().cuid),
            (own.head().flags, own.head().image, own.head().cuid)
        );
        assert_eq!(real.head().header.magic, own.head().header.magic);
        assert_eq!(real.open([&host]).unwrap().0, own.open([&host]).unwrap().0, "{case}");
    }
    for (case, side) in
        [("s03-assoc-none", "my-assoc.yaml"), ("s07-plain-odd", "plain-odd.yaml"), ("s17-ec256", "ec256.yaml")]
    {
        let yaml = |path: &Path| yaml_rust2::YamlLoader::load_from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let real = fixture(&format!("pvsecret/{case}/{side}"));
        assert_eq!(yaml(&folder.path().join(side)), yaml(&real), "{case}");
    }
}

#[test]
fn flags_user_data_and_policies() {
    let folder = tempdir().unwrap();
    let cuid = fixture("pvsecret/inputs/cuid.yaml");
    let (data, toc) = (fixture("pvsecret/inputs/user-100.bin"), folder.path().join("toc"));
    let more =
        ["--flags", "disable-dump", "--cuid", text(&cuid), "--user-data", text(&data), "--toc-policy", text(&toc)];
    let request = create(&folder, "r", &more, &["meta"]);
    let asrcb = Asrcb::parse(&request).unwrap();
    assert_eq!(asrcb.head().flags.get(), 1 << 63);
    assert_eq!(asrcb.head().cuid, ConfigUid::from_hex("16f15a03455da4d8127fb0942613b418").unwrap());
    assert_eq!(asrcb.head().user_data_kind(), UserDataKind::UNSIGNED);
    assert_eq!(fs::read_to_string(&toc).unwrap(), format!("{}\n", hex::encode(asrcb.tag())));
    let out = folder.path().join("data");
    let request = folder.path().join("r");
    assert_eq!(options::<Verify>(&[text(&request), "-o", text(&out)]).run().unwrap(), ExitCode::SUCCESS);
    let mut expected = fs::read(&data).unwrap();
    expected.resize(512, 0);
    assert_eq!(fs::read(&out).unwrap(), expected);
}

#[test]
fn signatures() {
    let folder = tempdir().unwrap();
    let (small, large) = (fixture("pvsecret/inputs/user-100.bin"), fixture("pvsecret/inputs/user-300.bin"));
    let out = folder.path().join("data");
    for (key, limit) in [("ec521", 256), ("rsa2048", 256), ("rsa3072", 128)] {
        let (private, certificate) =
            (fixture(&format!("keys/sign-{key}.pem")), fixture(&format!("keys/sign-{key}.crt.pem")));
        let sign = ["--user-data", text(&small), "--user-sign-key", text(&private)];
        let mut request = create(&folder, "r", &sign, &["meta"]);
        let path = folder.path().join("r");
        let verify = |certificate: &Path| {
            options::<Verify>(&[text(&path), "--user-cert", text(certificate), "-o", text(&out), "--overwrite"]).run()
        };
        assert_eq!(verify(&certificate).unwrap(), ExitCode::SUCCESS);
        let mut expected = fs::read(&small).unwrap();
        expected.resize(limit, 0);
        assert_eq!(fs::read(&out).unwrap(), expected, "{key}");
        let other = if key == "ec521" { "rsa2048" } else { "ec521" };
        assert_eq!(verify(&fixture(&format!("keys/sign-{other}.crt.pem"))).unwrap_err().status(), 1);
        assert_eq!(options::<Verify>(&[text(&path)]).run().unwrap_err().status(), 2, "signed: a certificate is needed");
        let (out, certificate_of_host, image) = (folder.path().join("no"), real_certificate(), real_image());
        let too_long = [
            "-k",
            text(&certificate_of_host),
            "--no-verify",
            "--hdr",
            text(&image),
            "-o",
            text(&out),
            "--user-data",
            text(&large),
            "--user-sign-key",
            text(&private),
            "meta",
        ];
        assert_eq!(options::<Create>(&too_long).run().unwrap_err().status(), 2);
        assert!(!out.exists());
        request[60] ^= 1;
        fs::write(&path, &request).unwrap();
        assert_eq!(verify(&certificate).unwrap_err().status(), 1, "{key}");
    }
}

#[test]
fn a_list_as_the_ultravisor_writes_it() {
    let folder = tempdir().unwrap();
    let (list, yaml, image, key) = (folder.path().join("list"), folder.path().join("yaml"), real_image(), real_key());
    let request = fixture("pvsecret/s05-assoc-ext-cck/request.bin");
    let arguments = [
        "--image",
        text(&image),
        "--host-key",
        text(&key),
        "--cuid",
        CUID,
        "--format",
        "bin",
        "-o",
        text(&list),
        text(&request),
    ];
    assert_eq!(options::<List>(&arguments).run().unwrap(), ExitCode::SUCCESS);
    let bytes = fs::read(&list).unwrap();
    assert_eq!(
        (bytes.len(), &bytes[..6], &bytes[16..24]),
        (4096, &[0, 1, 0, 1, 0, 0][..], &[0, 0, 0, 2, 0, 0, 0, 32][..])
    );
    let arguments = ["--input", text(&list), "--format", "yaml", "-o", text(&yaml)];
    assert_eq!(options::<List>(&arguments).run().unwrap(), ExitCode::SUCCESS);
    let text = fs::read_to_string(&yaml).unwrap();
    assert!(text.starts_with("total: 1\nsecrets:\n- index: 0\n  type: 2\n  length: 32\n  id: 0x6eec84cd"), "{text}");
}

#[test]
fn the_first_request_fixes_the_owner() {
    let owned = Owned::new(PlaintextControlFlags::PCKMO, SecretControlFlags::empty());
    let mut rng = uv_programs::random::rng(None).unwrap();
    let mut make = |extension| {
        use uv_s390::owner::secret::{AddSecretFlags, AddSecretRequest, GuestSecret, UserData};
        let secret = GuestSecret::association(SecretId::of_name("a"), &[1; 32]);
        let (image, cuid, flags) = (owned.identity, ConfigUid::ANY, AddSecretFlags::empty());
        let secrets = uv_s390::owner::request::RequestSecrets::random(&mut rng);
        let request = AddSecretRequest { image, cuid, flags, secret, extension };
        request.seal(&UserData::None, &secrets, &[owned.host.public()]).unwrap()
    };
    use uv_s390::owner::secret::ExtensionSecret::{self, Derived, Given};
    let mut store = Store::new(owned.boot());
    let mut rc = |request: &[u8]| store.add(request).unwrap().rc;
    assert_eq!(rc(&make(Given([7; 32].into()))), UvRc::EXECUTED);
    assert_eq!(rc(&make(ExtensionSecret::None)), UvRc::SECRET_UNABLE);
    assert_eq!(rc(&make(Derived(owned.cck.clone()))), UvRc::SECRET_UNABLE);
    assert_eq!(rc(&make(Given([7; 32].into()))), UvRc::EXECUTED);
    assert_eq!(rc(&real_request("s01-meta")), UvRc::SECRET_OPEN, "for another machine");
    assert_eq!(rc(b"no request at all"), UvRc::SECRET_VERSION);
}

#[test]
fn another_image_takes_no_request() {
    let file = fs::read(image_fixture("a-kernel-only/image.bin")).unwrap();
    let key = uv_s390_programs::keys::read_host_private_key(&real_key()).unwrap();
    let mut store = Store::new(uv_s390_programs::guest::Booted::new(file, key, None).unwrap());
    assert_eq!(store.add(&real_request("s07-plain-odd")).unwrap().rc, UvRc::SECRET_UNABLE);
    assert_eq!(store.list().unwrap().total, 0);
}

#[test]
fn every_single_bit_of_a_request_counts() {
    let expected: Value =
        serde_json::from_slice(&fs::read(fixture("pvsecret/s07-plain-odd/expected.json")).unwrap()).unwrap();
    let key = hex::decode(expected["request_key_hex"].as_str().unwrap()).unwrap();
    let key = RequestKey::from_slice(&key).unwrap();
    let request = real_request("s07-plain-odd");
    let opened = Asrcb::parse(&request).unwrap().open_with_key(&key).unwrap();
    assert_eq!(
        decode_plaintext(opened.secret.expose()).unwrap(),
        fs::read(fixture("pvsecret/inputs/plain-odd.bin")).unwrap()
    );
    each_flip(&request, |at, bit, changed| {
        let error = Asrcb::parse(changed).and_then(|asrcb| asrcb.open_with_key(&key).map(|_| ())).unwrap_err();
        let as_expected = match at {
            0..6 => error == AsrcbError::Magic,
            8..12 => matches!(error, AsrcbError::Version(_)),
            // 32 bytes more are those of an id less: the sizes fit, the tag does not.
            47 if bit == 5 => matches!(error, AsrcbError::Decrypt(_)),
            12..16 | 44..48 => matches!(error, AsrcbError::Size { .. }),
            39 => error == AsrcbError::KeySlots || matches!(error, AsrcbError::Size { .. }),
            _ => matches!(error, AsrcbError::Decrypt(_)),
        };
        assert!(as_expected, "byte {at}, bit {bit}: {error}");
    });
}
