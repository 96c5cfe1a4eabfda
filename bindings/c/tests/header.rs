//! `uvsim.h` is what the sources say, and `uvsim.pc` names the version of the crate.

use std::path::Path;

fn generated(folder: &Path) -> String {
    let config = cbindgen::Config::from_file(folder.join("cbindgen.toml")).expect("cbindgen.toml");
    // The modules of the library come along with it.
    let builder = cbindgen::Builder::new().with_config(config).with_src(folder.join("src/lib.rs"));
    let mut header = Vec::new();
    builder.generate().expect("cbindgen reads the sources").write(&mut header);
    let header = String::from_utf8(header).expect("a header is text");
    let header = header.replace(" * # Safety\n", " * What the caller promises:\n");
    let lines = header.lines().map(|line| match line.split_once(" -") {
        // A negative number is one operand wherever the name is used.
        Some((define, number)) if define.starts_with("#define ") => format!("{define} (-{number})\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

#[test]
fn the_header_is_what_the_sources_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = folder.join("include/uvsim.h");
    let generated = generated(folder);
    if std::env::var_os("UVSIM_WRITE_HEADER").is_some() {
        std::fs::write(&path, &generated).expect("the header can be written");
    }
    let kept = std::fs::read_to_string(&path).expect("the header is there");
    assert!(
        kept == generated,
        "include/uvsim.h is not what the sources say; UVSIM_WRITE_HEADER=1 cargo test -p uv-c --test c_header writes it"
    );
}

/// The functions of the sources, by file.
fn exported(folder: &Path, names: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            exported(&entry, names);
        } else {
            let text = std::fs::read_to_string(entry).expect("a source");
            let functions = text.split("#[unsafe(no_mangle)]").skip(1);
            let name = |text: &str| text.split_once("fn ")?.1.split_once('(').map(|(name, _)| name.to_owned());
            names.extend(functions.filter_map(name));
        }
    }
}

#[test]
fn every_function_of_the_sources_is_declared_once() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let header = std::fs::read_to_string(folder.join("include/uvsim.h")).expect("the header is there");
    let declarations: String = header.lines().filter(|line| !line.trim_start().starts_with(['*', '/'])).collect();
    let mut names = Vec::new();
    exported(&folder.join("src"), &mut names);
    assert!(names.len() > 25, "{names:?}");
    for name in names {
        assert_eq!(declarations.matches(&format!(" {name}(")).count(), 1, "{name}");
    }
}

#[test]
fn every_item_of_the_header_is_documented() {
    let header = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("include/uvsim.h")).expect("it");
    let lines: Vec<&str> = header.lines().collect();
    let (mut functions, mut documented) = (0, 0);
    for (index, line) in lines.iter().enumerate() {
        let declared = line.contains(" uvsim_") && line.contains('(') && !line.starts_with([' ', '}', '/', '*']);
        if declared && !line.starts_with("static inline") {
            functions += 1;
            documented += usize::from(lines[index - 1].trim() == "*/");
        }
    }
    assert!(functions > 25, "{functions} functions");
    assert_eq!(functions, documented);
}

#[test]
fn the_package_file_has_the_version_of_the_crate() {
    let file = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("uvsim.pc")).expect("uvsim.pc");
    let version = file.lines().find_map(|line| line.strip_prefix("Version: "));
    assert_eq!(version, Some(env!("CARGO_PKG_VERSION")));
}
