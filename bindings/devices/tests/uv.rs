//! `/dev/uv` for a program that uses IBM's crate, with requests that the real tools made and with our own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use clap::{Args, Parser};
use serde_json::Value;
use tempfile::{TempDir, tempdir};
use uv_s390::owner::attest::{ExchangeFile, ExchangeResponse};
use uv_s390::owner::request::ConfigUid;
use uv_s390_programs::attest::Verify;
use uv_s390_programs::secret::Create;
use uv_test_support::{file, program};

/// What a test that ends with it was not about.
const WORKS: &str = "the test's own means work";
const CUID: &str = "00112233445566778899aabbccddeeff";

fn fixture(name: &str) -> PathBuf {
    file("uv-s390/tests/fixtures").join(name)
}

fn image() -> PathBuf {
    file("tests/fixtures/pvimg/d-all-keys-flags/image.bin")
}

fn text(path: &Path) -> &str {
    path.to_str().expect(WORKS)
}

/// `uv-devices run` for a guest with the real image.
fn devices(folder: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_uv-devices"));
    command.arg("run").arg("--image").arg(image()).arg("--host-key").arg(fixture("keys/host1.key.pem"));
    command.args(["--cuid", CUID, "--log"]).arg(folder.path().join("log"));
    // What is left of it when it is killed goes with the test's own folder.
    command.env("TMPDIR", folder.path()).stdin(Stdio::null());
    command
}

/// Runs commands of the client in one guest, as a shell would.
fn client(folder: &TempDir, script: &str) -> Output {
    let script = format!("set -e; client() {{ {} \"$@\"; }}; {script}", text(&program("uv-device-client")));
    devices(folder).args(["--", "sh", "-c", &script]).current_dir(folder.path()).output().expect(WORKS)
}

/// Options of a subcommand as a user writes them.
fn options<A: Args>(arguments: &[&str]) -> A {
    #[derive(Parser)]
    struct Cli<A: Args> {
        #[command(flatten)]
        args: A,
    }
    Cli::<A>::try_parse_from(["program"].iter().chain(arguments)).unwrap_or_else(|error| panic!("{error}")).args
}

fn output(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn log(folder: &TempDir) -> Vec<Value> {
    let text = fs::read_to_string(folder.path().join("log")).expect(WORKS);
    text.lines().map(|line| serde_json::from_str(line).expect(WORKS)).collect()
}

#[test]
fn a_real_request_is_answered_through_the_device_and_verifies() {
    let folder = tempdir().expect(WORKS);
    let case = |name: &str| fixture(&format!("pvattest/r3-phkh-both/{name}"));
    let exchange = ExchangeFile::parse(&fs::read(case("request.bin")).expect(WORKS)).expect(WORKS);
    fs::write(folder.path().join("arcb"), &exchange.arcb).expect(WORKS);
    let done = client(&folder, "client attest arcb 64 64 'what the guest says' answer; client info");
    let (status, out, err) = output(&done);
    assert_eq!(status, Some(0), "{err}");
    assert!(out.starts_with("attested\n"), "{out}");
    assert!(err.contains("1  uv   UVIO_IOCTL_ATT         rc 0x0001 rrc 0x0000"), "{err}");
    let answer = fs::read(folder.path().join("answer")).expect(WORKS);
    let (measurement, rest) = answer.split_at(64);
    let (additional, cuid) = rest.split_at(rest.len() - 16);
    assert_eq!((cuid, additional.len()), (&ConfigUid::from_hex(CUID).expect(WORKS).0[..], 64));
    let response = ExchangeFile::from(ExchangeResponse {
        measurement: measurement.to_vec(),
        additional: additional.to_vec(),
        cuid: ConfigUid::from_hex(CUID).expect(WORKS),
        arcb: exchange.arcb,
        user_data: b"what the guest says".to_vec(),
    });
    let path = folder.path().join("response");
    fs::write(&path, response.encode().expect(WORKS)).expect(WORKS);
    let (arpk, hdr) = (case("arpk.bin"), image());
    let verify: Verify = options(&["--response", text(&path), "--arpk", text(&arpk), "--hdr", text(&hdr)]);
    assert_eq!(verify.run().expect(WORKS), std::process::ExitCode::SUCCESS);
    let line = &log(&folder)[0];
    assert_eq!((&line["ioctl"], &line["request"]), (&"UVIO_IOCTL_ATT".into(), &"0xc0407501".into()));
    assert_eq!((&line["arguments"]["meas_len"], &line["rc"]), (&"0x40".into(), &"0x1".into()));
}

#[test]
fn secrets_are_added_listed_retrieved_and_locked() {
    let folder = tempdir().expect(WORKS);
    let secret = fixture("pvsecret/inputs/plain-14.bin");
    for name in ["first", "second"] {
        let path = folder.path().join(name);
        let (cck, hdr, certificate) = (fixture("pvsecret/cck.bin"), image(), fixture("keys/host1.crt.pem"));
        let create: Create = options(&[
            "-k",
            text(&certificate),
            "--no-verify",
            "--hdr",
            text(&hdr),
            "-o",
            text(&path),
            "--cck",
            text(&cck),
            "retrievable",
            name,
            "--secret",
            text(&secret),
            "--type",
            "plain",
        ]);
        create.run().expect(WORKS);
    }
    let script = "client add first; client list; client retrieve 0 value; client lock; ! client add second";
    let (status, out, err) = output(&client(&folder, script));
    assert_eq!(status, Some(0), "{err}");
    assert!(out.contains("Total number of secrets: 1") && out.contains("PLAINTEXT"), "{out}");
    // A plain text is kept with its length before it.
    let (value, secret_bytes) = (fs::read(folder.path().join("value")).expect(WORKS), fs::read(&secret).expect(WORKS));
    assert_eq!((&value[..2], &value[2..]), (&[0, 14][..], &secret_bytes[..]));
    assert!(err.contains("secret store locked") && err.contains("0102"), "the crate's own words: {err}");
    let log = log(&folder);
    let names: Vec<_> = log.iter().map(|line| line["ioctl"].as_str().expect(WORKS)).collect();
    assert_eq!(
        names,
        [
            "UVIO_IOCTL_ADD_SECRET",
            "UVIO_IOCTL_LIST_SECRETS",
            "UVIO_IOCTL_LIST_SECRETS",
            "UVIO_IOCTL_RETR_SECRET",
            "UVIO_IOCTL_LOCK_SECRETS",
            "UVIO_IOCTL_ADD_SECRET"
        ]
    );
    assert_eq!((&log[5]["rc"], &log[5]["errno"]), (&"0x102".into(), &Value::Null));
    let plain = String::from_utf8_lossy(&fs::read(&secret).expect(WORKS)).into_owned();
    assert!(
        !fs::read_to_string(folder.path().join("log")).expect(WORKS).contains(plain.trim()),
        "no secret in the log"
    );
}

#[test]
fn a_guest_without_a_device_is_told_so() {
    let folder = tempdir().expect(WORKS);
    let client = program("uv-device-client");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_uv-devices"));
        output(&command.arg("run").args(arguments).stdin(Stdio::null()).output().expect(WORKS))
    };
    let (status, _, err) = run(&["--", text(&client), "info"]);
    assert_eq!((status, err.as_str()), (Some(1), "this is no protected guest\n"));
    for (arguments, sentence) in [
        (&["--", "no-such-program"][..], "error: there is no program no-such-program\n"),
        (&["--image", "/dev/null", "--host-key", "/dev/null", "--", "true"][..], "error: "),
        (&["--socket", "/no/such/folder/socket", "--", "true"][..], "error: cannot make the socket"),
        (&["--log", "/no/such/folder/log", "--", "true"][..], "error: cannot write /no/such/folder/log"),
    ] {
        let (status, out, err) = run(arguments);
        assert_eq!((status, out.as_str(), err.lines().count()), (Some(2), "", 1), "{err}");
        assert!(err.starts_with(sentence), "{err}");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_uv-devices"));
    let missing = command.args(["run", "--", "/bin/true"]).env("PATH", folder.path()).output().expect(WORKS);
    assert_eq!(output(&missing), (Some(2), String::new(), "error: cc is missing: install gcc and libc6-dev\n".into()));
    let path = folder.path().join("socket");
    let _used = std::os::unix::net::UnixListener::bind(&path).expect(WORKS);
    let (status, _, err) = run(&["--socket", text(&path), "--", "true"]);
    assert_eq!((status, err), (Some(2), format!("error: the socket {} is in use\n", path.display())));
    assert!(path.exists(), "it is somebody else's");
}

/// What `kill -9` of one side leaves: nothing.
#[test]
fn who_dies_takes_nothing_with_it_and_leaves_nothing() {
    let folder = tempdir().expect(WORKS);
    // A program that dies in the middle: its status is told.
    let killed = devices(&folder).args(["--", "sh", "-c", "kill -9 $$"]).output().expect(WORKS);
    assert_eq!(killed.status.code(), Some(128 + 9), "as a shell tells it");
    // A daemon that dies takes the programs that use its devices along.
    let marker = folder.path().join("marker");
    let script = format!("exec 3<>/dev/uv; echo $$ >{}; while :; do :; done", text(&marker));
    let mut daemon = devices(&folder).args(["--", "bash", "-c", &script]).spawn().expect(WORKS);
    let process = || fs::read_to_string(&marker).ok()?.trim().parse::<u32>().ok();
    wait_for(|| process().is_some());
    daemon.kill().expect(WORKS);
    daemon.wait().expect(WORKS);
    let status = format!("/proc/{}/stat", process().expect(WORKS));
    // It is gone, or only its parent has not asked yet how it ended.
    wait_for(|| fs::read_to_string(&status).map_or(true, |text| text.contains(") Z ")));
}

fn wait_for(done: impl Fn() -> bool) {
    for _ in 0..600 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("not within a minute");
}
