//! For tests of several packages: the example programs as a user runs them, and the files of the repository.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// The root of the repository.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// A file of the repository, by its path from the root.
#[must_use]
pub fn file(path: &str) -> PathBuf {
    root().join(path)
}

/// Path of the example program `NAME`, built with the profile of the running test.
///
/// It is built anew, once a test program, if its sources changed: `cargo test --test NAME` alone does not build examples.
///
/// # Panics
/// When the program does not build, or when the caller is not a test that cargo runs.
#[must_use]
pub fn example(name: &str) -> PathBuf {
    built(&["--example", name], &format!("examples/{name}"))
}

/// Path of an example program of a package that cargo does not look in by itself, as [`example`].
///
/// # Panics
/// As [`example`].
#[must_use]
pub fn example_of(package: &str, name: &str) -> PathBuf {
    built(&["--package", package, "--example", name], &format!("examples/{name}"))
}

/// Path of the program of a package of the same name, as [`example`].
///
/// # Panics
/// As [`example`].
#[must_use]
pub fn program(package: &str) -> PathBuf {
    built(&["--package", package, "--bin", package], package)
}

fn built(what: &[&str], path: &str) -> PathBuf {
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    built.entry(path.into()).or_insert_with(|| build(what, path)).clone()
}

fn build(what: &[&str], path: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let profile = test.ancestors().nth(2).expect("tests are in target/PROFILE/deps");
    let release = profile.ends_with("release").then_some("--release");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet"])
        .args(what)
        .args(release)
        .current_dir(root())
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the program builds");
    profile.join(format!("{path}{}", std::env::consts::EXE_SUFFIX))
}
