//! Every citation of a fact sheet, in code and documents, names a section that is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use uv_test_support::{file, root};

const SHEETS: [&str; 3] = ["s390-ultravisor", "s390-formats", "power-pef"];
/// The section sign, written so that this file does not cite anything itself.
const SIGN: char = '\u{a7}';
/// Folders that are not ours to read: build output and version control.
const SKIPPED: [&str; 3] = ["target", ".git", "machines"];

/// Section numbers of a sheet: those of its headings.
fn sections(sheet: &str) -> BTreeSet<String> {
    let path = file("docs/machines").join(sheet).with_extension("md");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let headings = text.lines().filter_map(|line| line.strip_prefix("##"));
    headings.filter_map(|line| line.trim_start_matches('#').split_whitespace().next()).map(number).collect()
}

/// The number at the start of a text, without a full stop at its end: `5.3` of `5.3).`.
fn number(text: &str) -> String {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text[..end].trim_end_matches('.').to_owned()
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        let name = entry.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if entry.is_dir() {
            if !SKIPPED.contains(&name) {
                sources(&entry, into);
            }
        } else if [".rs", ".md", ".py", ".sh", ".toml"].iter().any(|end| name.ends_with(end)) {
            into.push(entry);
        }
    }
}

/// What a text cites: sheet and section. A section belongs to the sheet last named before it.
fn citations(text: &str) -> Vec<(&'static str, String)> {
    let mut marks: Vec<(usize, Option<&'static str>)> = text.match_indices(SIGN).map(|(at, _)| (at, None)).collect();
    for sheet in SHEETS {
        marks.extend(text.match_indices(sheet).map(|(at, _)| (at, Some(sheet))));
    }
    marks.sort_unstable();
    let mut last = None;
    let mut cited = Vec::new();
    for (at, sheet) in marks {
        match (sheet, last) {
            (Some(sheet), _) => last = Some(sheet),
            (None, Some(sheet)) => cited.push((sheet, number(&text[at + SIGN.len_utf8()..]))),
            (None, None) => {}
        }
    }
    cited
}

#[test]
fn every_citation_of_a_sheet_has_its_section() {
    let sections: BTreeMap<_, _> = SHEETS.map(|sheet| (sheet, sections(sheet))).into();
    let mut files = Vec::new();
    sources(root(), &mut files);
    let mut count = 0;
    let mut missing = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("text");
        for (sheet, section) in citations(&text) {
            count += 1;
            if !sections[sheet].contains(&section) {
                missing.push(format!("{}: {sheet} {SIGN}{section}", file.display()));
            }
        }
    }
    assert!(missing.is_empty(), "no such section:\n{}", missing.join("\n"));
    assert!(count > 200, "only {count} citations found");
}

#[test]
fn a_section_belongs_to_the_sheet_named_before_it() {
    let text = "(s390-ultravisor §4.1, §4.2.) and power-pef §18 row 2";
    let cited = citations(text);
    let expected = [("s390-ultravisor", "4.1"), ("s390-ultravisor", "4.2"), ("power-pef", "18")];
    assert_eq!(cited, expected.map(|(sheet, section)| (sheet, section.to_owned())));
}
