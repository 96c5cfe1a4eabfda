//! `uvsim.h` is what the sources say, and `uvsim.pc` names the version of the crate.

use std::path::Path;

/// In the order in which the header tells them.
const SOURCES: [&str; 12] = [
    "lib.rs",
    "status.rs",
    "handle.rs",
    "memory.rs",
    "z/mod.rs",
    "z/config.rs",
    "z/host.rs",
    "z/spaces.rs",
    "z/closed.rs",
    "z/guest.rs",
    "z/diag308.rs",
    "z/text.rs",
];
const POWER: [&str; 2] = ["power/mod.rs", "power/regs.rs"];

fn generated(folder: &Path) -> String {
    let config = cbindgen::Config::from_file(folder.join("cbindgen.toml")).expect("cbindgen.toml");
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in SOURCES.iter().chain(&POWER) {
        builder = builder.with_src(folder.join("src").join(source));
    }
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

/// Every file of the library is one that the header is made from, or has nothing for it.
#[test]
fn no_source_is_left_out() {
    fn look(folder: &Path, at: &str, missing: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder.join(at)).expect("a folder").map(|entry| entry.expect("an entry")) {
            let name = entry.file_name().into_string().expect("a name in UTF-8");
            let name = if at.is_empty() { name } else { format!("{at}/{name}") };
            if entry.path().is_dir() {
                look(folder, &name, missing);
            } else if !SOURCES.contains(&name.as_str()) && !POWER.contains(&name.as_str()) {
                let text = std::fs::read_to_string(entry.path()).expect("a source");
                if text.contains("no_mangle") || text.contains("repr(C)") {
                    missing.push(name);
                }
            }
        }
    }
    let mut missing = Vec::new();
    look(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut missing);
    assert_eq!(missing, Vec::<String>::new());
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
