//! What a reader finds on a library's first page: every module with who uses it, every feature, an example.

use std::fs;

use uv_test_support::file;

/// The libraries.
const LIBRARIES: [&str; 5] = ["uv-core", "uv-sim", "uv-sim/crypto", "uv-power", "tests/conformance"];

fn read(path: &str) -> String {
    fs::read_to_string(file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names at the start of the lines of a manifest's table.
fn keys<'a>(manifest: &'a str, table: &str) -> Vec<&'a str> {
    let lines = manifest.lines().skip_while(|line| *line != table).skip(1);
    lines.take_while(|line| !line.starts_with('[')).filter_map(|line| Some(line.split_once(" = ")?.0)).collect()
}

#[test]
fn a_first_page_has_modules_features_and_an_example() {
    for library in LIBRARIES {
        let source = read(&format!("{library}/src/lib.rs"));
        let page: Vec<_> = source.lines().filter_map(|line| line.strip_prefix("//!")).collect();
        let has_row =
            |what: &str| page.iter().any(|line| line.starts_with(" | ") && line.contains(&format!("`{what}")));
        for module in source.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')) {
            assert!(has_row(module), "{library}: no row for {module}");
        }
        let manifest = read(&format!("{library}/Cargo.toml"));
        for feature in keys(&manifest, "[features]").into_iter().filter(|feature| *feature != "default") {
            assert!(has_row(feature), "{library}: no row for the feature {feature}");
        }
        assert!(source.contains("```"), "{library}: no example");
        assert!(keys(&manifest, "[package.metadata.docs.rs]").contains(&"all-features"), "{library}");
    }
}
