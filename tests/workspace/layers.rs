//! The dependency arrows of docs/architecture.md, read from what cargo knows, for every feature alone and all together.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(uv_test_support::root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

fn package<'a>(metadata: &'a Value, name: &str) -> &'a Value {
    let packages = metadata["packages"].as_array().expect("a list");
    packages.iter().find(|p| p["name"] == name).unwrap_or_else(|| panic!("{name} is in the workspace"))
}

/// What the features switch on, transitively: features by name, dependencies as `dep:name`.
fn enabled(package: &Value, features: &[&str]) -> BTreeSet<String> {
    let mut on = BTreeSet::new();
    let mut next: Vec<String> = features.iter().map(|feature| (*feature).to_owned()).collect();
    while let Some(feature) = next.pop() {
        let (name, weak) = match feature.split_once('/') {
            Some((name, _)) => (name.trim_end_matches('?').to_owned(), name.ends_with('?')),
            None => (feature.clone(), false),
        };
        if weak || !on.insert(feature.clone()) {
            continue;
        }
        if name != feature {
            on.insert(format!("dep:{name}"));
        }
        let more = package["features"][&name].as_array();
        next.extend(more.into_iter().flatten().filter_map(|entry| entry.as_str()).map(str::to_owned));
    }
    on
}

/// The workspace's own crates that a crate links with these features. Tests and benches do not count.
fn siblings(metadata: &Value, name: &str, features: &[&str]) -> BTreeSet<String> {
    let package = package(metadata, name);
    let on = enabled(package, features);
    let dependencies = package["dependencies"].as_array().expect("a list");
    dependencies
        .iter()
        .filter(|d| d["kind"] != "dev")
        .filter_map(|d| Some((d["name"].as_str()?, d["optional"] == true)))
        .filter(|(name, optional)| !optional || on.contains(&format!("dep:{name}")))
        .map(|(name, _)| name.to_owned())
        .filter(|name| name.starts_with("uv-"))
        .collect()
}

fn features<'a>(metadata: &'a Value, name: &str) -> Vec<&'a str> {
    let features = package(metadata, name)["features"].as_object().expect("features");
    features.keys().map(String::as_str).collect()
}

/// The same as [`siblings`], with all that those link in their turn.
fn linked(metadata: &Value, name: &str, features: &[&str]) -> BTreeSet<String> {
    let mut all = siblings(metadata, name, features);
    let mut next: Vec<String> = all.iter().cloned().collect();
    while let Some(crate_name) = next.pop() {
        for sibling in siblings(metadata, &crate_name, &[]) {
            if all.insert(sibling.clone()) {
                next.push(sibling);
            }
        }
    }
    all
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn core_depends_on_no_sibling() {
    let metadata = metadata();
    assert_eq!(siblings(&metadata, "uv-core", &features(&metadata, "uv-core")), set(&[]));
}

#[test]
fn the_ciphers_depend_on_their_kernels_only() {
    let metadata = metadata();
    assert_eq!(siblings(&metadata, "uv-kernels", &features(&metadata, "uv-kernels")), set(&[]));
    assert_eq!(siblings(&metadata, "uv-crypto", &features(&metadata, "uv-crypto")), set(&["uv-kernels"]));
}

/// Whoever needs AES-GCM takes it from there. Tests hold it against another one.
#[test]
fn aes_gcm_is_in_the_crate_of_the_ciphers_alone() {
    let metadata = metadata();
    for package in metadata["packages"].as_array().expect("a list") {
        let dependencies = package["dependencies"].as_array().expect("a list");
        let parts = dependencies.iter().filter(|d| d["kind"] != "dev").filter_map(|d| d["name"].as_str());
        let parts: Vec<_> = parts.filter(|name| ["aes-gcm", "ghash"].contains(name)).collect();
        let expected: &[&str] = if package["name"] == "uv-crypto" { &["ghash"] } else { &[] };
        assert_eq!(parts, expected, "{}", package["name"]);
    }
}

#[test]
fn the_engine_knows_no_machine() {
    let metadata = metadata();
    let all = features(&metadata, "uv-sim");
    assert_eq!(siblings(&metadata, "uv-sim", &all), set(&["uv-core", "uv-crypto"]));
}

#[test]
fn the_machines_do_not_know_each_other() {
    let metadata = metadata();
    let allowed = set(&["uv-core", "uv-crypto", "uv-kernels", "uv-sim"]);
    for name in ["uv-s390", "uv-power"] {
        let all = features(&metadata, name);
        for features in all.iter().map(|&feature| vec![feature]).chain([all.clone()]) {
            let linked = linked(&metadata, name, &features);
            assert!(linked.is_subset(&allowed), "{name} with {features:?} links {linked:?}");
        }
    }
}

#[test]
fn the_suite_knows_only_the_traits() {
    let metadata = metadata();
    assert_eq!(siblings(&metadata, "uv-conformance", &[]), set(&["uv-core"]));
}

#[test]
fn a_product_on_real_hardware_carries_neither_ciphers_nor_engine() {
    let metadata = metadata();
    for name in ["uv-s390", "uv-power"] {
        assert_eq!(linked(&metadata, name, &[]), set(&["uv-core"]), "{name}");
    }
}

#[test]
fn only_the_features_that_simulate_link_the_engine() {
    let metadata = metadata();
    for name in ["uv-s390", "uv-power"] {
        assert!(features(&metadata, name).contains(&"owner"), "{name} has a feature for the owner's side");
        for feature in features(&metadata, name) {
            let engine = linked(&metadata, name, &[feature]).contains("uv-sim");
            let simulates = enabled(package(&metadata, name), &[feature]).contains("sim");
            assert_eq!(engine, simulates, "{name} with feature {feature}");
        }
    }
}

#[test]
fn programs_of_a_machine_link_that_machine_and_no_test_dependency() {
    let metadata = metadata();
    for (programs, other) in [("uv-s390-programs", "uv-power"), ("uv-power-programs", "uv-s390")] {
        let linked = linked(&metadata, programs, &[]);
        assert!(linked.contains("uv-programs") && !linked.contains(other), "{programs} links {linked:?}");
        // Cargo builds them with each example.
        let dependencies = package(&metadata, programs)["dependencies"].as_array().expect("a list");
        assert!(dependencies.iter().all(|dependency| dependency["kind"] != "dev"), "{programs}");
    }
}

/// The Rust files under a folder, with their code: without comments.
fn sources(folder: &std::path::Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("UTF-8");
            let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
            found.push((path.display().to_string(), code.collect::<Vec<_>>().join("\n")));
        }
    }
    found
}

#[test]
fn the_kernel_knows_no_user_space() {
    for name in ["uv-s390", "uv-power"] {
        let files = sources(&uv_test_support::root().join(name).join("src/hypervisor/kernel"));
        assert!(files.len() > 5, "{name} has a kernel");
        for (path, code) in files {
            for room in ["vmm", "uapi"] {
                let word = code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == room);
                assert!(!word, "{path} knows {room}");
            }
        }
    }
}

#[test]
fn a_strangers_vmm_needs_the_traits_and_one_machine() {
    let metadata = metadata();
    for (stranger, machine) in [("uv-stranger-s390", "uv-s390"), ("uv-stranger-power", "uv-power")] {
        let dependencies = package(&metadata, stranger)["dependencies"].as_array().expect("a list");
        let names: BTreeSet<_> = dependencies.iter().filter_map(|dependency| dependency["name"].as_str()).collect();
        assert_eq!(names, BTreeSet::from(["uv-core", machine]), "{stranger}");
    }
}

#[test]
fn every_public_module_says_who_uses_it() {
    let root = uv_test_support::root().join("uv-s390/src");
    let mut modules = vec![root.join("lib.rs")];
    let mut seen = 0;
    while let Some(path) = modules.pop() {
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        let folder = path.parent().expect("in a folder");
        for name in text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')) {
            let (file, room) = (folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs"));
            let module = if file.exists() { file } else { room };
            let text = std::fs::read_to_string(&module).expect("the module's file");
            let says =
                text.lines().take_while(|line| line.starts_with("//!")).any(|line| line.contains("Who uses it: "));
            assert!(says, "{} does not say who uses it", module.display());
            modules.push(module);
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen} modules");
}

#[test]
fn every_package_name_begins_with_uv() {
    let metadata = metadata();
    for package in metadata["packages"].as_array().expect("a list") {
        let name = package["name"].as_str().expect("a name");
        assert!(name.starts_with("uv-"), "{name}");
    }
}

#[test]
fn unsafe_code_is_in_the_bindings_and_in_the_kernels_of_the_ciphers_only() {
    let metadata = metadata();
    for package in metadata["packages"].as_array().expect("a list") {
        let manifest = package["manifest_path"].as_str().expect("a path");
        let text = std::fs::read_to_string(manifest).expect("a manifest");
        // The workspace's lints forbid it.
        let forbids = text.contains("[lints]\nworkspace = true");
        let gives_reasons = text.contains("undocumented_unsafe_blocks = \"deny\"");
        let may = manifest.contains("/bindings/") || package["name"] == "uv-kernels";
        assert!(forbids || may && gives_reasons, "{manifest}");
    }
    let root = std::fs::read_to_string(uv_test_support::root().join("Cargo.toml")).expect("the workspace's manifest");
    assert!(root.contains("unsafe_code = \"forbid\""));
}
