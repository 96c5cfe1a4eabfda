//! `power_esmb`, command by command, on the reference files of `tests/fixtures/svm-tool`.
//!
//! Paths in the YAML files are relative to the working directory, which is the package's folder here.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use uv_power::abi::Profile;
use uv_power::owner::blob::Blob;
use uv_power::owner::digests::{RTAS_STUB, Sha512Digest};
use uv_power::owner::keys::PrivateKey;
use uv_power::owner::verify::{self, Measured};
use uv_power::owner::{cpio, kernel};
use uv_test_support::example;

const FIXTURES: &str = "../fixtures/svm-tool";
const BOOTARGS: &str = "root=/dev/sda1 rw svm=on console=hvc0";

fn fixture(path: &str) -> PathBuf {
    Path::new(FIXTURES).join(path)
}

fn read(path: &str) -> Vec<u8> {
    fs::read(fixture(path)).unwrap()
}

/// What was shown, or the sentence of status 2.
fn run(arguments: &[&str]) -> Result<String, String> {
    let mut program = Command::new(example("power_esmb"));
    let environment = [("RIGHT", "owner-pass"), ("WRONG", "owner-pas")];
    let output = program.args(arguments).envs(environment).env_remove("UNSET").output().unwrap();
    let [shown, sentence] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    match output.status.code() {
        Some(0) => Ok(shown),
        status => {
            assert_eq!((status, shown.as_str()), (Some(2), ""), "{sentence}");
            Err(sentence)
        }
    }
}

fn refused(arguments: &[&str], part: &str) {
    let sentence = run(arguments).unwrap_err();
    assert!(sentence.contains(part), "{sentence}");
}

/// A folder with a copy of a reference blob, and ways to name its files.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn with(blob: &str) -> Self {
        let place = Self::new();
        fs::copy(fixture(blob), place.path("b")).unwrap();
        place
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().into()
    }

    fn blob(&self) -> Vec<u8> {
        fs::read(self.path("b")).unwrap()
    }

    /// Refused with a sentence, the blob as before, nothing else left in the folder.
    fn unchanged(&self, arguments: &[&str], part: &str) {
        let listed = || fs::read_dir(self.folder.path()).unwrap().count();
        let before = (fs::read(self.path("b")).ok(), listed());
        refused(arguments, part);
        assert!(before == (fs::read(self.path("b")).ok(), listed()));
    }
}

fn key(name: &str) -> String {
    fixture(&format!("keys/{name}.pem")).to_str().unwrap().into()
}

fn display(path: &str) -> Value {
    serde_json::from_str(&run(&["display", "-b", path, "--json"]).unwrap()).unwrap()
}

/// The blob opens on machine 1 for the VM that the digests were made for, in both profiles; gives the names of its files.
fn accepted(blob: &[u8]) -> Vec<String> {
    let machine = PrivateKey::from_pem(&read("keys/machine1.pem"), None).unwrap();
    let flat = read("boot/vmlinux");
    let flat = kernel::flatten(&flat).unwrap();
    let found = Measured {
        rtas: Sha512Digest::of(&RTAS_STUB),
        kernel: Sha512Digest::of(&flat),
        initrd: Sha512Digest::of(&read("boot/initrd.img")),
        bootargs: Measured::bootargs(format!("{BOOTARGS}\0").as_bytes()),
    };
    let mut names = Vec::new();
    for profile in Profile::ALL {
        let store = verify::open(profile, blob, &machine).unwrap().check(&found).unwrap();
        names = store.names().map(String::from).collect();
        for name in &names {
            assert_eq!(*store.read(name).unwrap(), read(&format!("attachments/{name}")));
        }
    }
    names
}

/// The sample YAML with paths that are right from here.
fn sample_yaml() -> String {
    let text = String::from_utf8(read("svm_blob.yml")).unwrap();
    ["keys/", "boot/", "attachments/"]
        .iter()
        .fold(text, |text, folder| text.replace(&format!("\"{folder}"), &format!("\"{FIXTURES}/{folder}")))
}

#[test]
fn make_gives_a_blob_that_a_machine_accepts() {
    for option in ["-o", "-b"] {
        let place = Place::new();
        fs::write(place.path("y"), sample_yaml()).unwrap();
        run(&["make", "-y", &place.path("y"), option, &place.path("b")]).unwrap();
        assert_eq!(accepted(&place.blob()), ["nul.bin", "k65.bin", "k64.bin", "f200.txt", "crypttab", "rootd"]);
        assert_eq!(place.blob().len(), read("blobs/full.dtb").len());
    }
}

#[test]
fn make_stops_after_create_without_recipients_and_files() {
    let place = Place::new();
    let origin = format!("- origin: {{pubkey: {}, seckey: none}}\n", key("ownerpub"));
    let digest = "- digest: {args: a, initramfs: none, kernel: none}\n";
    fs::write(place.path("y"), format!("{origin}{digest}")).unwrap();
    run(&["make", "-y", &place.path("y"), "-o", &place.path("b")]).unwrap();
    let shown = display(&place.path("b"));
    assert_eq!(shown["lockboxes"].as_array().unwrap().len(), 1);
    assert_eq!((shown.get("digests_fdt"), shown.get("files_fdt")), (None, None));
}

#[test]
fn make_refuses_unusable_input_and_writes_nothing() {
    let place = Place::new();
    let sample = sample_yaml();
    for (from, to, part) in [
        ("boot/vmlinux\"", "boot/none\"", "cannot read"),
        ("keys/owner.pem", "keys/machine1.pem", "opens no lockbox"),
        ("keys/ownerpub.pem", "keys/owner.pem", "private key"),
        ("keys/machine2pub.pem", "keys/machine1pub.pem", "already authorized by lockbox-1"),
        ("name: \"crypttab\"", "name: \"1x\"", "not a file name"),
        ("name: \"crypttab\"", "name: \"rootd\"", "already attached"),
        ("- digest:", "- digests:", "no entry \"digests\""),
        ("attachments/nul.bin", "boot/vmlinux.bin", "longer than the 65535 bytes"),
    ] {
        assert!(sample.contains(from), "{from}");
        fs::write(place.path("y"), sample.replace(from, to)).unwrap();
        place.unchanged(&["make", "-y", &place.path("y"), "-o", &place.path("b")], part);
    }
    fs::write(place.path("y"), [0xff, 0xfe]).unwrap();
    place.unchanged(&["make", "-y", &place.path("y"), "-o", &place.path("b")], "UTF-8");
    place.unchanged(&["make", "-y", &place.path("none"), "-o", &place.path("b")], "cannot read");
}

#[test]
fn step_by_step_gives_the_states_of_the_tool() {
    let place = Place::new();
    let blob = &place.path("b");
    run(&["create", "-c", "owner key 2", "-b", blob, "-p", &key("ownerpub")]).unwrap();
    assert_eq!(place.blob().len(), read("blobs/step-1-created.dtb").len());
    run(&["authorize", "-c", "machine 1", "-b", blob, "-p", &key("machine1pub"), "-s", &key("owner")]).unwrap();
    assert_eq!(place.blob().len(), read("blobs/step-2-authorized.dtb").len());
    let file = fixture("attachments/rootd");
    let attach = ["attach", "-c", "pass phrase", "-r", "rootd", "-b", blob, "-f", file.to_str().unwrap(), "-s"];
    run(&[&attach[..], &[&key("machine1")]].concat()).unwrap();
    assert_eq!(place.blob().len(), read("blobs/step-3-attached.dtb").len());
    run(&["extract", "-b", blob, "-r", "rootd", "-s", &key("owner"), "-o", &place.path("out")]).unwrap();
    assert_eq!(fs::read(place.path("out")).unwrap(), read("attachments/rootd"));
    place.unchanged(&[&attach[..], &[&key("owner")]].concat(), "already attached");
    run(&["detach", "-b", blob, "-r", "rootd", "-s", &key("owner")]).unwrap();
    place.unchanged(&["detach", "-b", blob, "-r", "rootd", "-s", &key("owner")], "no file \"rootd\"");
    run(&["revoke", "-b", blob, "-p", &key("machine1pub")]).unwrap();
    place.unchanged(&["revoke", "-b", blob, "-p", &key("machine1pub")], "not authorized");
    place.unchanged(&["revoke", "-b", blob, "-p", &key("ownerpub")], "cannot be revoked");
}

#[test]
fn encrypted_keys_take_the_pass_phrase_of_a_named_variable() {
    let place = Place::with("blobs/step-1-created.dtb");
    let (blob, owner2) = (&place.path("b"), &key("owner2-encrypted"));
    let authorize = ["authorize", "-b", blob, "-p", &key("machine1pub"), "-s", owner2, "--passphrase-env"];
    place.unchanged(&[&authorize[..], &["WRONG"]].concat(), "does not open the key");
    place.unchanged(&[&authorize[..], &["UNSET"]].concat(), "UNSET holds no pass phrase");
    run(&[&authorize[..], &["RIGHT"]].concat()).unwrap();
    let names: Vec<_> = display(blob)["lockboxes"].as_array().unwrap().iter().map(|l| l["name"].clone()).collect();
    assert_eq!(names, ["lockbox-1", "origin-lockbox"]);
    let machine = PrivateKey::from_pem(&read("keys/machine1.pem"), None).unwrap();
    let before = Blob::parse(&read("blobs/step-3-attached.dtb")).unwrap().unlock(&machine).unwrap();
    assert!(Blob::parse(&place.blob()).unwrap().unlock(&machine).unwrap() == before);
}

#[test]
fn display_shows_what_the_reference_lists() {
    let expected: Value = serde_json::from_slice(&read("expected.json")).unwrap();
    for name in ["full.dtb", "step-1-created.dtb", "step-2-authorized.dtb", "step-3-attached.dtb"] {
        let path = fixture(&format!("blobs/{name}"));
        let (shown, listed) = (display(path.to_str().unwrap()), &expected["blobs"][name]);
        assert_eq!((&shown["totalsize"], &shown["sha256"]), (&listed["totalsize"], &listed["sha256"]));
        for (ours, theirs) in shown["lockboxes"].as_array().unwrap().iter().zip(listed["lockboxes"].as_array().unwrap())
        {
            let mut theirs = theirs.clone();
            theirs.as_object_mut().unwrap().remove("unwraps_with");
            assert_eq!(*ours, theirs);
        }
        for (member, theirs) in listed["digests_fdt"].as_object().into_iter().flatten() {
            if !["digests", "plaintext_len", "plaintext_sha256"].contains(&member.as_str()) {
                assert_eq!(shown["digests_fdt"][member], *theirs);
            }
        }
        assert_eq!(shown.get("digests_fdt").is_some(), listed.get("digests_fdt").is_some());
        assert_eq!(shown["files_fdt"]["sha256"], listed["files_fdt"]["sha256"]);
        let text = run(&["display", "-b", path.to_str().unwrap()]).unwrap();
        for file in listed["files_fdt"]["files"].as_array().into_iter().flatten() {
            assert!(text.contains(&format!("file {}:", file["name"].as_str().unwrap())));
            assert!(text.contains(file["mac_hex"].as_str().unwrap()));
        }
    }
}

#[test]
fn files_of_the_tool_are_extracted() {
    let place = Place::with("blobs/full.dtb");
    for name in ["rootd", "crypttab", "f200.txt", "k64.bin", "k65.bin", "nul.bin"] {
        let out = place.path("out");
        run(&["extract", "-b", &place.path("b"), "-r", name, "-s", &key("machine2"), "-o", &out]).unwrap();
        assert_eq!(fs::read(&out).unwrap(), read(&format!("attachments/{name}")));
        fs::remove_file(out).unwrap();
    }
    let extract = |name: &str, secret: &str, part: &str| {
        let (blob, out) = (place.path("b"), place.path("out"));
        place.unchanged(&["extract", "-b", &blob, "-r", name, "-s", &key(secret), "-o", &out], part);
    };
    extract("none", "owner", "no file \"none\"");
    extract("rootd", "ownerpub", "public key");
    fs::copy(fixture("blobs/step-3-attached.dtb"), place.path("b")).unwrap();
    extract("rootd", "owner", "opens no lockbox");
}

#[test]
fn add_puts_the_blob_where_firmware_finds_it() {
    let place = Place::with("blobs/full.dtb");
    let initrd = fixture("boot/initrd.img");
    let add = ["add", "-i", initrd.to_str().unwrap(), "-b", &place.path("b"), "-o", &place.path("out")];
    run(&add).unwrap();
    let joined = fs::read(place.path("out")).unwrap();
    let found = cpio::scan(&joined, 0).unwrap();
    assert!(joined[found.initrd..] == read("boot/initrd.img"));
    assert_eq!(accepted(&joined[found.blob]).len(), 6);
}

#[test]
fn unusable_blobs_are_refused_and_left_alone() {
    let place = Place::new();
    let full = read("blobs/full.dtb");
    for (bytes, part) in [
        (Vec::new(), "cut off"),
        (full[..full.len() - 1].to_vec(), "cut off"),
        (vec![0x55; 4096], "not a valid device tree"),
        (read("inner/full.files.dtb"), "not an ESM blob"),
        (read("tampered/t08-bad-magic.dtb"), "not a valid device tree"),
    ] {
        fs::write(place.path("b"), bytes).unwrap();
        let blob = &place.path("b");
        place.unchanged(&["display", "-b", blob, "--json"], part);
        place.unchanged(&["revoke", "-b", blob, "-p", &key("machine1pub")], part);
        let initrd = fixture("boot/initrd.img");
        place.unchanged(&["add", "-i", initrd.to_str().unwrap(), "-b", blob, "-o", &place.path("out")], part);
    }
    let place = Place::with("blobs/full.dtb");
    let blob = &place.path("b");
    place.unchanged(&["authorize", "-b", blob, "-p", &key("machine1pub"), "-s", &key("owner")], "already authorized");
    place.unchanged(&["authorize", "-b", blob, "-p", &key("machine1"), "-s", &key("owner")], "private key");
    let comment = ["-c", "a\nb"];
    let authorize = ["authorize", "-b", blob, "-p", &key("owner2pub"), "-s", &key("owner")];
    place.unchanged(&[&authorize[..], &comment].concat(), "one line");
    place.unchanged(&["create", "-b", &place.path("none/b"), "-p", &key("ownerpub")], "cannot write");
}

#[test]
fn usage_errors_end_with_status_2_and_help_does_not() {
    refused(&[], "Usage");
    refused(&["make"], "required");
    refused(&["display", "-b", "x", "--xml"], "--xml");
    assert!(run(&["--help"]).unwrap().contains("authorize"));
    assert!(run(&["attach", "--help"]).unwrap().contains("65535"));
}
