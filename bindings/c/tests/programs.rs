//! Programs in C, compiled by `cc` (or `CC`), linked with the library as it was built for this test.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

// Links the library, so that it is built in all its forms.
use uvsim as _;

const FIXTURES: &str = "tests/fixtures";

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where cargo puts the library's shared and static form: beside this test.
fn built() -> PathBuf {
    let test = std::env::current_exe().expect("this test is a file");
    let folder = test.parent().expect("it lies in a folder").to_owned();
    assert!(folder.join("libuvsim.a").is_file(), "no libuvsim.a in {}", folder.display());
    folder
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn cc() -> Command {
    let mut cc = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    cc.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1"]);
    cc
}

fn compiled(cc: &mut Command) {
    let output = run(cc);
    assert!(output.status.success(), "{cc:?}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// Compiles a program and links it with the static library.
fn program(source: &str, into: &Path) -> PathBuf {
    let program = into.join(Path::new(source).file_stem().expect("a name"));
    let include = folder().join("include");
    compiled(
        cc().arg("-I")
            .arg(include)
            .arg(folder().join(source))
            .arg("-o")
            .arg(&program)
            .arg(built().join("libuvsim.a"))
            .args(["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl"]),
    );
    program
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn fixture(path: &str) -> PathBuf {
    uv_test_support::root().join(FIXTURES).join(path)
}

#[test]
fn the_interface_keeps_what_the_header_says() {
    let into = tempfile::tempdir().expect("a folder");
    let mut program = Command::new(program("tests/c/interface.c", into.path()));
    let output = run(program.arg(fixture("pvimg/keys/host1.key.pem")).arg(fixture("svm-tool/keys/machine1.pem")));
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(said(&output), "all as the header says\n");
}

#[test]
fn a_host_sees_frames_close() {
    let into = tempfile::tempdir().expect("a folder");
    let output = run(&mut Command::new(program("examples/z_host.c", into.path())));
    let expected = "QUI: cc 0, rc 0x0001\n\
        INIT_UV: cc 0, rc 0x0001\n\
        donated storage is closed\n\
        CREATE_SEC_CONF: cc 0, rc 0x0001\n\
        CONV_TO_SEC_STOR: cc 0, rc 0x0001\n\
        the guest's page is closed; changes: 1\n\
        CONV_FROM_SEC_STOR: cc 0, rc 0x0001\n\
        exported: ciphertext\n";
    assert_eq!(said(&output), expected);
}

/// The example for emulators, with the shared library, installed as the README says.
#[test]
fn an_image_becomes_a_guest_with_the_installed_library() {
    let into = tempfile::tempdir().expect("a folder");
    let prefix = into.path().join("there/yet to be");
    let installed = run(Command::new(folder().join("install")).arg("--built").arg(built()).arg(&prefix));
    assert!(installed.status.success(), "{}", said(&installed));
    let flags = std::fs::read_to_string(prefix.join("lib/pkgconfig/uvsim.pc")).expect("the package file");
    let flags = |name: &str| {
        let line = flags.lines().find_map(|line| line.strip_prefix(name)).expect("flags");
        let line = line.replace("${includedir}", "${prefix}/include").replace("${libdir}", "${prefix}/lib");
        let words = line.split_whitespace().map(|word| word.replace("${prefix}", prefix.to_str().expect("UTF-8")));
        words.collect::<Vec<String>>()
    };
    let program = into.path().join("se_guest");
    let source = folder().join("examples/se_guest.c");
    compiled(cc().args(flags("Cflags: ")).arg(source).arg("-o").arg(&program).args(flags("Libs: ")));
    let guest = |image: &Path, key: &str| {
        let library = prefix.join("lib");
        run(Command::new(&program).env("LD_LIBRARY_PATH", library).arg(image).arg(fixture(key)))
    };

    let image = fixture("pvimg/b-odd-sizes/image.bin");
    let output = guest(&image, "pvimg/keys/host1.key.pem");
    assert!(output.status.success(), "{}", said(&output));
    let said_by = said(&output);
    let (psw, shared) = said_by.split_once('\n').expect("two lines");
    assert!(psw.starts_with("protected, PSW 0000000180000000 "), "{psw}");
    assert_eq!(shared, "share: cc 0, rc 0x0001; the page is shared, its neighbour is closed\n");

    let output = guest(&image, "pvimg/keys/host3.key.pem");
    assert_eq!(output.status.code(), Some(3));
    assert!(said(&output).starts_with("not protected: set SE header: rc 0x0108, rrc 0x0005: "), "{}", said(&output));

    let mut changed = std::fs::read(&image).expect("the image");
    let last = changed.len() - 4096 + 17;
    changed[last] ^= 1;
    let path = into.path().join("changed.img");
    std::fs::write(&path, changed).expect("a file");
    let output = guest(&path, "pvimg/keys/host1.key.pem");
    assert_eq!(output.status.code(), Some(3));
    let why =
        "not protected: verify: rc 0x0102, rrc 0x001b: a component holds something else than its owner measured\n";
    assert_eq!(said(&output), why);
}
