//! Outputs that no option names by themselves: files in a folder, and beside another output.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use uv_test_support::example;

fn fixture(name: &str) -> PathBuf {
    uv_test_support::file(name)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

fn shell(program: &str, before: &str, arguments: &[&str]) -> Output {
    let script = format!("{before} exec \"$@\"");
    let mut shell = Command::new("sh");
    shell.args(["-c", &script, "sh"]).arg(example(program)).args(arguments).output().expect("a shell")
}

fn refused(output: &Output, part: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains(part), "{part}: {error}");
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn extract_makes_its_folder_only_with_all_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let (key, image) = (fixture("tests/fixtures/pvimg/keys/host1.key.pem"), folder.path().join("image"));
    fs::copy(fixture("tests/fixtures/pvimg/b-odd-sizes/image.bin"), &image).unwrap();
    let extract = |out: &Path, before: &str, more: &[&str]| {
        let arguments = [&["extract", "--host-key", text(&key), "--out", text(out), text(&image)], more].concat();
        shell("s390_image", before, &arguments)
    };
    let out = folder.path().join("new/deep");
    refused(&extract(&out, "ulimit -f 1;", &[]), "cannot write");
    refused(&extract(&out, "exec >/dev/full;", &[]), "cannot write the output");
    assert_eq!(names(folder.path()), ["image"], "no folder is left");
    refused(&extract(&image, "", &[]), "is a file, not a folder");
    refused(&extract(&image, "", &["--overwrite"]), "is a file, not a folder");
    assert!(extract(&out, "", &[]).status.success());
    let components = names(&out);
    assert_eq!(components, ["cmdline", "kernel", "ramdisk", "stage3b"]);
    // Of the files that exist none is replaced, and none of those that do not exist is made.
    fs::remove_file(out.join("kernel")).unwrap();
    fs::write(out.join("ramdisk"), "old").unwrap();
    refused(&extract(&out, "", &[]), "exists already; --overwrite replaces it");
    assert_eq!(names(&out), ["cmdline", "ramdisk", "stage3b"]);
    assert_eq!(fs::read(out.join("ramdisk")).unwrap(), b"old");
    assert!(extract(&out, "", &["--overwrite"]).status.success());
    // The image as one of its own components.
    fs::copy(&image, out.join("kernel")).unwrap();
    let own = ["extract", "--host-key", text(&key), "--out", text(&out), "--overwrite", text(&out.join("kernel"))]
        .map(String::from);
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    refused(&shell("s390_image", "", &own), "would replace the input");
    assert!(fs::read(out.join("kernel")).unwrap() == fs::read(&image).unwrap());
}

#[test]
fn the_side_file_and_the_list_of_tags_belong_to_the_request() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, image) = (
        fixture("uv-s390/tests/fixtures/keys/host1.crt.pem"),
        fixture("tests/fixtures/pvimg/d-all-keys-flags/image.bin"),
    );
    let path = |name: &str| folder.path().join(name);
    let create = |before: &str, request: &str, tags: &str, more: &[&str]| {
        let (request, tags) = (path(request), path(tags));
        let fixed = ["create", "-k", text(&certificate), "--no-verify", "--hdr", text(&image), "-o", text(&request)];
        let list = ["--toc-policy", text(&tags)];
        shell("s390_secret", before, &[&fixed[..], &list, more, &["association", "a b"]].concat())
    };
    for (request, tags) in [("a_b.yaml", "tags"), ("request", "a_b.yaml"), ("request", "./request")] {
        refused(&create("", request, tags, &["--overwrite"]), "are one file");
    }
    assert_eq!(names(folder.path()), [""; 0]);
    assert!(create("", "request", "tags", &[]).status.success());
    assert_eq!(names(folder.path()), ["a_b.yaml", "request", "tags"]);
    let tags = fs::read_to_string(path("tags")).unwrap();
    assert_eq!(tags.lines().count(), 1);
    refused(&create("", "other", "tags", &[]), "a_b.yaml exists already");
    refused(&create("ulimit -f 0;", "other", "tags", &["--overwrite"]), "cannot write");
    assert_eq!(names(folder.path()), ["a_b.yaml", "request", "tags"]);
    assert_eq!(fs::read_to_string(path("tags")).unwrap(), tags);
    assert!(create("", "other", "tags", &["--overwrite"]).status.success());
    let more = fs::read_to_string(path("tags")).unwrap();
    assert!(more.starts_with(&tags) && more.lines().count() == 2, "lines are added, none is lost");
}

#[test]
fn the_key_beside_a_dump_is_an_output_too() {
    let folder = tempfile::tempdir().unwrap();
    let (dump, key) = (folder.path().join("d"), folder.path().join("d.cck"));
    fs::write(&key, "a key of another dump").unwrap();
    refused(&shell("s390_dump", "", &["create", "-o", text(&dump)]), "d.cck exists already");
    refused(
        &shell("s390_dump", "", &["create", "-o", text(&dump), "--plain", text(&key), "--overwrite"]),
        "are one file",
    );
    assert_eq!(names(folder.path()), ["d.cck"]);
    assert_eq!(fs::read(&key).unwrap(), b"a key of another dump");
}

#[test]
fn the_user_data_of_a_request_replaces_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (request, data) = (folder.path().join("request"), folder.path().join("data"));
    fs::copy(fixture("uv-s390/tests/fixtures/pvsecret/s01-meta/request.bin"), &request).unwrap();
    fs::write(&data, "old").unwrap();
    let verify = |out: &Path, more: &[&str]| {
        shell("s390_secret", "", &[&["verify", "-o", text(out), text(&request)], more].concat())
    };
    refused(&verify(&data, &[]), "data exists already");
    refused(&verify(&request, &["--overwrite"]), "would replace the input");
    assert_eq!(fs::read(&data).unwrap(), b"old");
    assert!(verify(&data, &["--overwrite"]).status.success());
    assert_eq!(fs::read(&data).unwrap(), b"");
}
