//! What the programs say: help, mistaken keys, refusals, events, JSON.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;
use uv_test_support::example;

const PROGRAMS: [&str; 9] = [
    "s390_boot",
    "s390_lifecycle",
    "s390_image",
    "s390_dump",
    "s390_attest",
    "s390_secret",
    "power_boot",
    "power_paging",
    "power_esmb",
];

fn fixture(name: &str) -> String {
    uv_test_support::file(name).to_str().expect("a UTF-8 path").to_owned()
}

fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(example(program)).args(arguments).output().expect("the program starts")
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

#[test]
fn help_states_the_exit_status() {
    for program in PROGRAMS {
        let output = run(program, &["--help"]);
        assert!(output.status.success(), "{program}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("Exit status: 0 ") && text.contains("2 "), "{program}: {text}");
    }
    let text = String::from_utf8(run("s390_lifecycle", &["--help"]).stdout).unwrap();
    assert!(text.contains("2 to 200"), "{text}");
}

#[test]
fn a_mistaken_key_is_called_by_its_name() {
    let image = fixture("tests/fixtures/pvimg/d-all-keys-flags/image.bin");
    let (certificate, key) =
        (fixture("uv-s390/tests/fixtures/keys/host1.crt.pem"), fixture("uv-s390/tests/fixtures/keys/host1.key.pem"));
    let der = fixture("tests/fixtures/pvimg/keys/host2.crt.der");
    let blob = fixture("tests/fixtures/svm-tool/blobs/full.dtb");
    let public = fixture("tests/fixtures/svm-tool/keys/ownerpub.pem");
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let out = out.to_str().unwrap();
    let (this_certificate, private) =
        ("this is a certificate, a private key is needed", "this is a private key, a certificate");
    for (program, status, arguments, part) in [
        ("s390_boot", 2, vec!["--image", &image, "--host-key", &certificate], this_certificate),
        ("s390_boot", 2, vec!["--image", &image, "--host-key", &der], this_certificate),
        ("s390_image", 2, vec!["extract", "--host-key", &certificate, "--out", out, &image], this_certificate),
        ("s390_image", 2, vec!["extract", "--hdr-key", &key, "--out", out, &image], "this is a private key"),
        ("s390_image", 2, vec!["test", "-k", &key, &image], private),
        ("s390_attest", 1, vec!["create", "-k", &key, "--no-verify", "-o", out, "--arpk", "arpk"], private),
        ("s390_dump", 2, vec!["create", "--image", &image, "--host-key", &certificate, "-o", out], this_certificate),
        (
            "power_esmb",
            2,
            vec!["create", "-b", out, "-p", &certificate],
            "this is a certificate, a public key is needed",
        ),
        ("power_esmb", 2, vec!["detach", "-b", &blob, "-r", "rootd", "-s", &certificate], this_certificate),
        ("power_esmb", 2, vec!["detach", "-b", &blob, "-r", "rootd", "-s", &public], "this is a public key"),
    ] {
        let output = run(program, &arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{program} {arguments:?}: {error}");
        assert!(error.contains(part), "{program} {arguments:?}: {error}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }
}

#[test]
fn refusals_say_what_they_mean() {
    let (image, key) =
        (fixture("tests/fixtures/pvimg/a-kernel-only/image.bin"), fixture("tests/fixtures/pvimg/keys/host2.key.pem"));
    let slot = "the image has no key slot for this machine's host key";
    let output = run("s390_boot", &["--image", &image, "--host-key", &key]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains(&format!("refused: {slot}")) && text.contains("rc 0x0108, rrc 0x0005"), "{text}");
    let output = run("s390_secret", &["list", "--image", &image, "--host-key", &key]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains(slot));
    let folder = tempfile::tempdir().unwrap();
    let changed = folder.path().join("image");
    let mut file = fs::read(&image).unwrap();
    file[0x15000] ^= 1;
    fs::write(&changed, file).unwrap();
    let host1 = fixture("tests/fixtures/pvimg/keys/host1.key.pem");
    let output = run("s390_boot", &["--image", changed.to_str().unwrap(), "--host-key", &host1]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("refused: a component holds something else than its owner measured"), "{text}");
}

#[test]
fn events_go_to_standard_error_as_rust_log_asks() {
    let (image, key) =
        (fixture("tests/fixtures/pvimg/a-kernel-only/image.bin"), fixture("tests/fixtures/pvimg/keys/host1.key.pem"));
    let boot = |filter: &str| {
        let mut command = Command::new(example("s390_boot"));
        command.args(["--image", &image, "--host-key", &key, "--json"]).env("RUST_LOG", filter);
        let output = command.output().unwrap();
        assert_eq!(json(&output)["result"], "running");
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(boot(""), "");
    assert_eq!(boot("off"), "");
    assert!(boot("trace").contains("uv_s390"));
    assert!(!boot("uv_power=trace").contains("uv_s390"));
    assert!(boot("uv_s390=loud").contains("warning: RUST_LOG is not used"));
    let power = Command::new(example("power_boot")).arg("--json").env("RUST_LOG", "trace").output().unwrap();
    assert!(String::from_utf8_lossy(&power.stderr).contains("uv_power") && json(&power).is_object());
}

#[test]
fn results_as_json() {
    let lifecycle = json(&run("s390_lifecycle", &["--pages", "10", "--json"]));
    let steps = lifecycle["steps"].as_array().unwrap();
    assert_eq!((steps.len(), &lifecycle["content_right"]), (12, &Value::from(true)));
    assert_eq!((&steps[0]["vm"], &steps[0]["sealed"]), (&"protected".into(), &0.into()));
    assert_eq!((&steps[4]["shared"], &steps[6]["vm"], &steps[6]["secure"]), (&1.into(), &"ordinary".into(), &0.into()));

    let paging = json(&run("power_paging", &["--memory", "2", "--pool", "5", "--steps", "20", "--json"]));
    assert_eq!((&paging["result"], &paging["secure_pages"]), (&"right".into(), &80.into()));
    assert!(paging["pages_in"].as_u64().unwrap() > 0 && paging["most_in_use"].as_u64().unwrap() <= 80);
    assert!(paging["guests"].as_array().unwrap().iter().all(|guest| guest["bytes_wrong"] == 0));

    let (dump, cck) = (
        fixture("uv-s390/tests/fixtures/pvdump/p1-mixed/dump.elf"),
        fixture("uv-s390/tests/fixtures/pvdump/p1-mixed/cck.bin"),
    );
    let info = json(&run("s390_dump", &["info", "--json", "--key", &cck, &dump]));
    assert_eq!(info["pages"], serde_json::json!({ "encrypted": 54, "shared": 5, "zero": 5 }));
    assert_eq!(info["memory"], serde_json::json!([{ "address": "0x0000000000000000", "bytes": 262_144 }]));
    assert_eq!((info["cpus"].as_array().unwrap().len(), &info["cpus"][1]["prefix"]), (2, &"0x00020000".into()));
    assert_eq!(info["cpus"][0]["psw"]["mask"], "0x0705c00180000000");
}
