//! Every rule of the suite quotes a promise of `uv-core`: it must stand in the documentation of the item that is named.

use std::fs;

use uv_conformance::rules;

/// The documentation of a file: each run of `///` lines with the line of code behind it, in plain words. What the file says of itself
/// goes with every public item.
fn documented(file: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut text = String::new();
    let itself: Vec<&str> = file.lines().filter_map(|line| line.strip_prefix("//!")).collect();
    let items = file.lines().filter(|line| line.starts_with("pub "));
    all.extend(items.map(|item| (plain(&itself.join(" ")), item.to_owned())));
    for line in file.lines().map(str::trim) {
        match line.strip_prefix("///") {
            Some(words) => text = format!("{text} {words}"),
            None if line.starts_with("#[") => {}
            None => {
                let words = core::mem::take(&mut text);
                if !words.is_empty() {
                    all.push((plain(&words), line.to_owned()));
                }
            }
        }
    }
    all
}

/// Words without code marks and links.
fn plain(text: &str) -> String {
    let mut words = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("](") {
        words += &rest[..at];
        rest = rest[at..].split_once(')').map_or("", |(_, behind)| behind);
    }
    words += rest;
    let words = words.replace(['`', '[', ']'], "");
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn sources() -> Vec<(String, String)> {
    let folder = uv_test_support::root().join("uv-core/src");
    let files = fs::read_dir(folder).expect("uv-core is there").map(|entry| entry.expect("a file").path());
    files.flat_map(|path| documented(&fs::read_to_string(path).expect("text"))).collect()
}

#[test]
fn every_promise_stands_in_the_documentation() {
    let sources = sources();
    for rule in rules() {
        let last = rule.item.rsplit("::").next().expect("a name");
        let item = |code: &str| code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == last);
        let found = sources.iter().any(|(words, code)| item(code) && words.contains(rule.promise));
        assert!(found, "{}: {} does not promise: {}", rule.name, rule.item, rule.promise);
    }
}

#[test]
fn rules_are_many_different_and_complete() {
    let all: Vec<_> = rules().collect();
    assert!(all.len() >= 100, "{} rules", all.len());
    for (at, rule) in all.iter().enumerate() {
        assert!(!all[..at].iter().any(|other| other.name == rule.name), "two rules {}", rule.name);
        assert!(!all[..at].iter().any(|other| other.sentence == rule.sentence), "{} says what another says", rule.name);
        assert!(!rule.acts.is_empty(), "{} may be vacuous", rule.name);
        assert!(rule.name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{}", rule.name);
    }
}
