//! The dependency arrows of docs/architecture.md, read from what cargo knows.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

/// The workspace's own crates that a crate names, development dependencies included or not.
fn siblings(metadata: &Value, name: &str, with_dev: bool) -> BTreeSet<String> {
    let package = package(metadata, name);
    let dependencies = package["dependencies"].as_array().expect("a list");
    dependencies
        .iter()
        .filter(|d| with_dev || d["kind"] != "dev")
        .filter_map(|d| d["name"].as_str())
        .filter(|name| name.starts_with("uv-") || *name == "ultravisor")
        .map(str::to_owned)
        .collect()
}

fn package<'a>(metadata: &'a Value, name: &str) -> &'a Value {
    let packages = metadata["packages"].as_array().expect("a list");
    packages.iter().find(|p| p["name"] == name).unwrap_or_else(|| panic!("{name} is in the workspace"))
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn core_depends_on_no_sibling() {
    assert_eq!(siblings(&metadata(), "uv-core", true), set(&[]));
}

#[test]
fn the_engine_knows_no_machine() {
    assert_eq!(siblings(&metadata(), "uv-sim", true), set(&["uv-core"]));
}

#[test]
fn the_machines_do_not_know_each_other() {
    let metadata = metadata();
    assert_eq!(siblings(&metadata, "uv-s390", true), set(&["uv-core", "uv-sim"]));
    assert_eq!(siblings(&metadata, "uv-power", true), set(&["uv-core", "uv-sim"]));
}

#[test]
fn the_suite_knows_only_the_traits() {
    assert_eq!(siblings(&metadata(), "uv-conformance", false), set(&["uv-core"]));
}

#[test]
fn ultravisor_halves_and_the_engine_are_optional() {
    let metadata = metadata();
    for name in ["uv-s390", "uv-power"] {
        let package = package(&metadata, name);
        let dependencies = package["dependencies"].as_array().expect("a list");
        let engine = dependencies.iter().find(|d| d["name"] == "uv-sim" && d["kind"].is_null()).expect("the engine");
        assert_eq!(engine["optional"], true, "{name} must build without the engine");
        assert!(package["features"]["sim"].is_array(), "{name} has a feature for its ultravisor half");
    }
}
