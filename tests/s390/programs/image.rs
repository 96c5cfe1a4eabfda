//! The program `s390_image`, run as a user runs it on files of the real image builder.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tempfile::TempDir;
use uv_s390::owner::crypto::HostPrivateKey;
use uv_s390::owner::hostkey::Crl;
use uv_s390::owner::hostkey::test_pki::TestPki;
use uv_test_support::example;

fn fixture(name: &str) -> String {
    uv_test_support::file("tests/fixtures/pvimg").join(name).display().to_string()
}

fn run(arguments: &[&str]) -> Output {
    Command::new(example("s390_image")).args(arguments).output().expect("the program starts")
}

fn status(arguments: &[&str]) -> Option<i32> {
    let output = run(arguments);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.code() == Some(2) && !error.contains("Usage:") {
        assert_eq!(error.trim_end().lines().count(), 1, "one sentence: {error}");
    }
    output.status.code()
}

/// Arguments of a small image, without key verification and output.
fn inputs() -> Vec<String> {
    let pairs = [
        ("--kernel", fixture("components/kernel-odd.bin")),
        ("--ramdisk", fixture("components/ramdisk-odd.bin")),
        ("--parmfile", fixture("components/cmdline.txt")),
        ("--bootloader-dir", fixture("bootloader")),
        ("-k", fixture("keys/host1.crt.pem")),
        ("-k", fixture("keys/host2.crt.der")),
    ];
    pairs.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
}

fn create(out: &Path, more: &[&str]) -> Output {
    let inputs = inputs();
    let mut arguments = vec!["create"];
    arguments.extend(inputs.iter().map(String::as_str));
    arguments.extend(["-o", out.to_str().expect("a UTF-8 path")]);
    arguments.extend(more);
    run(&arguments)
}

fn image_in(folder: &TempDir, more: &[&str]) -> String {
    let out = folder.path().join("image");
    let arguments: Vec<&str> = ["--no-verify"].iter().chain(more).copied().collect();
    let output = create(&out, &arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    out.to_str().expect("a UTF-8 path").to_owned()
}

#[test]
fn created_images_come_back() {
    let folder = tempfile::tempdir().unwrap();
    for layout in [&[][..], &["--older-layout"]] {
        let more: Vec<&str> = layout.iter().chain(&["--overwrite"]).copied().collect();
        let image = image_in(&folder, &more);
        let out = folder.path().join("out");
        let out = out.to_str().unwrap();
        let host2 = fixture("keys/host2.key.pem");
        assert_eq!(status(&["extract", "--host-key", &host2, "--out", out, "--overwrite", &image]), Some(0));
        for (name, original) in [("kernel", "kernel-odd.bin"), ("ramdisk", "ramdisk-odd.bin")] {
            let extracted = fs::read(Path::new(out).join(name)).unwrap();
            assert!(extracted == fs::read(fixture(&format!("components/{original}"))).unwrap(), "{name}");
        }
        let command_line = fs::read(Path::new(out).join("cmdline")).unwrap();
        assert_eq!(command_line.strip_suffix(b"\0").unwrap(), fs::read(fixture("components/cmdline.txt")).unwrap());
        assert_eq!(fs::read(Path::new(out).join("stage3b")).unwrap().len(), 5720);
    }
    let host3 = fixture("keys/host3.key.pem");
    let image = folder.path().join("image");
    let refused = run(&["extract", "--host-key", &host3, "--out", "/nonexistent", image.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no key slot"));
}

#[cfg(unix)]
#[test]
fn images_are_for_the_owner_only_and_never_replaced_by_accident() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let image = image_in(&folder, &[]);
    assert_eq!(fs::metadata(&image).unwrap().permissions().mode() & 0o777, 0o600);
    let before = fs::read(&image).unwrap();
    let output = create(Path::new(&image), &["--no-verify"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(fs::read(&image).unwrap() == before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
}

#[test]
fn host_keys_are_verified_unless_told_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("image");
    let refused = create(&out, &[]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--no-verify"));
    // Neither the issuer nor a list: a host key certificate is no signing key.
    let host1 = fixture("keys/host1.crt.pem");
    assert_eq!(create(&out, &["-C", &host1, "--root-ca", &host1]).status.code(), Some(1));
    assert_eq!(create(&out, &["-C", &host1, "--no-verify"]).status.code(), Some(2));
    assert!(!out.exists());
}

/// With certificates and lists that verify the image is built; with one list missing or a revoked
/// document it is not.
#[test]
fn verified_host_keys_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut rng = uv_programs::random::rng(Some(1)).unwrap();
    let mut pki = TestPki::generate(&mut rng, now - 3600, now + 3600).unwrap();
    let machine = HostPrivateKey::generate(&mut rng).public();
    let document = pki.issue(&machine, "machine-1").unwrap();
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let document_file = write("host.crt", document.certificate().to_pem());
    let root = write("root.crt", pki.root().to_pem());
    let signing = write("signing.crt", pki.signing_key().to_pem());
    let intermediate = write("intermediate.crt", pki.intermediate().to_pem());
    let lists =
        |pki: &TestPki, take: usize| write("lists", pki.crls().unwrap().iter().take(take).map(Crl::to_pem).collect());
    let kernel = fixture("components/kernel-aligned.bin");
    let out = folder.path().join("image");
    let out = out.to_str().unwrap();
    let create = |lists: &str| {
        status(&[
            "create",
            "--kernel",
            &kernel,
            "-k",
            &document_file,
            "-C",
            &signing,
            "-C",
            &intermediate,
            "--crl",
            lists,
            "--root-ca",
            &root,
            "--overwrite",
            "-o",
            out,
        ])
    };
    assert_eq!(create(&lists(&pki, 3)), Some(0));
    assert_eq!(status(&["test", "-k", &document_file, out]), Some(0));
    assert_eq!(create(&lists(&pki, 1)), Some(1));
    pki.revoke(&document);
    assert_eq!(create(&lists(&pki, 3)), Some(1));
}

#[test]
fn equal_seeds_give_equal_images() {
    let images = [(); 2].map(|()| {
        let folder = tempfile::tempdir().unwrap();
        fs::read(image_in(&folder, &["--x-seed", "7"])).unwrap()
    });
    assert!(images[0] == images[1]);
    let folder = tempfile::tempdir().unwrap();
    assert!(fs::read(image_in(&folder, &["--x-seed", "8"])).unwrap() != images[0]);
}

fn flags_of(more: &[&str]) -> (String, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let key = fixture("keys/hdr_key.bin");
    let arguments: Vec<&str> = ["--hdr-key", &key].iter().chain(more).copied().collect();
    let image = image_in(&folder, &arguments);
    let output = run(&["info", "--json", "--hdr-key", &key, "--show-secrets", &image]);
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let word = |name: &str| told["data"][name].as_str().expect("a string").trim_start_matches('0').to_owned();
    (word("pcf_hex"), word("scf_hex"))
}

#[test]
fn flag_options_set_their_bits() {
    let cck = fixture("keys/cck.bin");
    let words = |pcf: &str, scf: &str| (pcf.to_owned(), scf.to_owned());
    assert_eq!(flags_of(&[]), words("e0", ""));
    assert_eq!(flags_of(&["--disable-pckmo", "--enable-pckmo-hmac"]), words("10", ""));
    assert_eq!(flags_of(&["--disable-pckmo", "--enable-pckmo"]), words("e0", ""));
    assert_eq!(
        flags_of(&["--enable-dump", "--enable-cck-update", "--enable-backup-keys"]),
        words("200000e2", "2000000000000000")
    );
    assert_eq!(
        flags_of(&["--cck", &cck, "--enable-cck-extension-secret", "--disable-image-encryption"]),
        words("100000e0", "4000000000000000")
    );
    assert_eq!(flags_of(&["--x-pcf", "0x3", "--x-scf", "4"]), words("3", "4"));
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("image");
    for refused in [
        &["--enable-dump"][..],
        &["--enable-cck-extension-secret"],
        &["--cck", &cck, "--enable-cck-extension-secret", "--enable-cck-update"],
        &["--x-pcf", "1", "--enable-pckmo"],
        &["--cck", &fixture("keys/image_key.bin")],
    ] {
        let arguments: Vec<&str> = ["--no-verify"].iter().chain(refused).copied().collect();
        assert_eq!(create(&out, &arguments).status.code(), Some(2), "{refused:?}");
    }
    assert!(!out.exists());
}

#[test]
fn kernels_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("image");
    let (kernel, key) = (fixture("components/kernel-5bytes.bin"), fixture("keys/host1.crt.pem"));
    let arguments = ["create", "--kernel", &kernel, "-k", &key, "--no-verify", "-o", out.to_str().unwrap()];
    assert_eq!(status(&arguments), Some(2));
    let unchecked: Vec<&str> = arguments.iter().chain(&["--no-component-check"]).copied().collect();
    assert_eq!(status(&unchecked), Some(0));
}

#[test]
fn info_tells_what_the_image_tool_tells() {
    let image = fixture("d-all-keys-flags/image.bin");
    let expected: Value =
        serde_json::from_slice(&fs::read(fixture("d-all-keys-flags/pvimg-info-data.json")).unwrap()).unwrap();
    let key = fixture("keys/hdr_key.bin");
    let output = run(&["info", "--hdr-key", &key, "--show-secrets", "--format", "json:minify", &image]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["data"], expected);
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1);

    let plain: Value = serde_json::from_slice(&run(&["info", "--json", &image]).stdout).unwrap();
    assert_eq!((&plain["data"]["kind"], &plain["data"]["verified"]), (&"se_hdr".into(), &false.into()));
    assert_eq!(plain["data"]["cipher_data_b64"].as_str().unwrap().len(), 172);
    let verified: Value = serde_json::from_slice(&run(&["info", "--json", "--hdr-key", &key, &image]).stdout).unwrap();
    assert_eq!((&verified["data"]["kind"], &verified["data"]["verified"]), (&"se_hdr".into(), &true.into()));
    assert!(verified["data"]["cck_hex"].is_null());

    let text = run(&["info", "--format", "text:full", "--hdr-key", &key, &image]).stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("allow dump") && text.contains(expected["pld_hex"].as_str().unwrap()));
    assert!(!text.contains(expected["cck_hex"].as_str().unwrap()));
    let other = fixture("a-kernel-only/image.bin");
    assert_eq!(status(&["info", "--hdr-key", &key, &other]), Some(1));
}

#[test]
fn test_finds_key_slots() {
    let image = fixture("a-kernel-only/image.bin");
    let (host1, host2) = (fixture("keys/host1.crt.pem"), fixture("keys/host2.crt.der"));
    assert_eq!(status(&["test", "-k", &host1, &image]), Some(0));
    assert_eq!(status(&["test", "-k", &host2, &image]), Some(1));
    assert_eq!(status(&["test", "-k", &host2, "-k", &host1, &image]), Some(0));
    let folder = tempfile::tempdir().unwrap();
    let hashes = folder.path().join("all");
    let phkh = "5233b0db6e440bb103a7d37335e7ab348210bda6fd92ba150615f70096871c68";
    let zero = "0".repeat(64);
    let file = |second: &str| format!("{zero}\n{second}\n{}", format!("{zero}\n").repeat(13));
    let option = format!("--key-hashes={}", hashes.display());
    for (text, expected) in [(file(phkh), 0), (file(&zero), 1), (zero.clone(), 2)] {
        fs::write(&hashes, text).unwrap();
        assert_eq!(status(&["test", &option, &image]), Some(expected));
    }
}

#[test]
fn unusable_files_end_with_status_2_and_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let image = fs::read(fixture("a-kernel-only/image.bin")).unwrap();
    let bad = folder.path().join("bad");
    let (key, host) = (fixture("keys/hdr_key.bin"), fixture("keys/host1.key.pem"));
    let out = folder.path().join("out");
    let out = out.to_str().unwrap();
    for bytes in [&[][..], &image[..100], &image[..0x14100], &[0xa5; 100_000]] {
        fs::write(&bad, bytes).unwrap();
        let bad = bad.to_str().unwrap();
        assert_eq!(status(&["info", bad]), Some(2));
        assert_eq!(status(&["test", "-k", &fixture("keys/host1.crt.pem"), bad]), Some(2));
        assert_eq!(status(&["extract", "--host-key", &host, "--out", out, bad]), Some(2));
    }
    fs::write(&bad, &image[..image.len() - 1]).unwrap();
    assert_eq!(status(&["extract", "--host-key", &host, "--out", out, bad.to_str().unwrap()]), Some(2));
    assert_eq!(status(&["info", "--hdr-key", &host, bad.to_str().unwrap()]), Some(2));
    assert_eq!(status(&["extract", "--hdr-key", &key, "--out", out, bad.to_str().unwrap()]), Some(2));
    let mut changed = image.clone();
    changed[0x15000 + 5] ^= 1;
    fs::write(&bad, &changed).unwrap();
    assert_eq!(status(&["extract", "--host-key", &host, "--out", out, bad.to_str().unwrap()]), Some(1));
    changed.clone_from(&image);
    changed[0x14000 + 0x30] ^= 1;
    fs::write(&bad, &changed).unwrap();
    assert_eq!(status(&["extract", "--host-key", &host, "--out", out, bad.to_str().unwrap()]), Some(1));
    assert!(!Path::new(out).exists());
    assert_eq!(status(&["info", "/nonexistent/image"]), Some(2));
}
