//! `power_esmb` changes a blob where it is, and only with success.

use std::fs;
use std::process::{Command, Output};

use tempfile::TempDir;
use uv_test_support::example;

const CHANGES: [&[&str]; 4] = [
    &["authorize", "-b", "blob", "-p", "owner2pub.pem", "-s", "machine1.pem"],
    &["revoke", "-b", "blob", "-p", "machine2pub.pem"],
    &["attach", "-b", "blob", "-f", "crypttab", "-r", "more", "-s", "machine1.pem"],
    &["detach", "-b", "blob", "-r", "rootd", "-s", "machine1.pem"],
];
const FILES: [&str; 5] =
    ["keys/owner2pub.pem", "keys/machine1.pem", "keys/machine2pub.pem", "attachments/crypttab", "blobs/full.dtb"];

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let fixtures = uv_test_support::file("tests/fixtures/svm-tool");
    for file in FILES {
        let name = if file.ends_with("dtb") { "blob" } else { file.rsplit('/').next().unwrap_or(file) };
        fs::copy(fixtures.join(file), folder.path().join(name)).expect("a fixture");
    }
    folder
}

fn shell(folder: &TempDir, script: &str, arguments: &[&str]) -> Output {
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]).arg(example("power_esmb")).args(arguments);
    shell.current_dir(folder.path()).output().expect("a shell")
}

fn files(folder: &TempDir) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let entries = fs::read_dir(folder.path()).expect("a folder").map(|entry| entry.expect("an entry"));
    let mut files: Vec<_> = entries.map(|entry| (entry.file_name(), fs::read(entry.path()).expect("a file"))).collect();
    files.sort();
    files
}

#[test]
fn a_blob_is_changed_whole_or_not_at_all() {
    for arguments in CHANGES {
        let folder = folder();
        let before = files(&folder);
        let full = shell(&folder, "ulimit -f 1; exec \"$@\"", arguments);
        let error = String::from_utf8_lossy(&full.stderr);
        assert_eq!(full.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.contains("cannot write blob: it grows larger"), "{error}");
        assert!(files(&folder) == before, "{arguments:?}");
        let done = shell(&folder, "exec \"$@\"", arguments);
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        let after = files(&folder);
        assert_eq!(after.len(), before.len());
        for (old, new) in before.iter().zip(&after) {
            assert_eq!(old.1 != new.1, new.0 == "blob", "{arguments:?}: {:?}", new.0);
        }
    }
}

/// No other file that a command reads is taken for the blob, not even where it would be refused as one.
#[test]
fn a_blob_is_no_key_and_no_attachment() {
    for arguments in CHANGES {
        let folder = folder();
        let before = files(&folder);
        for (at, _) in
            arguments.iter().enumerate().skip(3).filter(|(at, _)| ["-p", "-s", "-f"].contains(&arguments[at - 1]))
        {
            let mut arguments = arguments.to_vec();
            arguments[at] = "./blob";
            let output = shell(&folder, "exec \"$@\"", &arguments);
            let error = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
            assert!(error.contains("blob would replace the input ./blob"), "{arguments:?}: {error}");
            assert!(files(&folder) == before);
        }
    }
}

#[test]
fn make_replaces_none_of_the_files_it_reads() {
    let folder = folder();
    let yaml = "- origin: {pubkey: owner2pub.pem, seckey: machine1.pem}\n\
                - digest: {args: a, initramfs: crypttab, kernel: crypttab}\n\
                - recipient: {pubkey: machine2pub.pem}\n- file: {path: blob}\n";
    fs::write(folder.path().join("yaml"), yaml).unwrap();
    let before = files(&folder);
    for (name, _) in &before {
        for more in [&[][..], &["--overwrite"]] {
            let arguments = [&["make", "-y", "yaml", "-o", name.to_str().unwrap()], more].concat();
            let output = shell(&folder, "exec \"$@\"", &arguments);
            let error = String::from_utf8_lossy(&output.stderr);
            let part = if more.is_empty() && name != "yaml" { "exists already" } else { "would replace the input" };
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
            assert!(error.contains(part), "{arguments:?}: {error}");
            assert!(files(&folder) == before);
        }
    }
}
