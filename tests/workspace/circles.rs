//! No circle of files: state lies below its users (docs/architecture.md).
//!
//! Read from the `use` and `mod` lines of a crate. A module's own parts may know it: what a submodule takes from the modules around it does not
//! count. Unit tests do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Modules of a crate by their path, and their text.
type Modules = BTreeMap<Vec<String>, String>;

fn collect(folder: &Path, module: &[String], modules: &mut Modules) {
    let files = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    for path in files {
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
        if name == "tests" {
            continue;
        }
        let here = match name.as_str() {
            "mod" | "lib" => module.to_vec(),
            _ => [module, &[name]].concat(),
        };
        if path.is_dir() {
            collect(&path, &here, modules);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            modules.insert(here, fs::read_to_string(&path).expect("a file"));
        }
    }
}

/// The paths that a `use` names, its braces resolved.
fn expand(prefix: &str, rest: &str, paths: &mut Vec<String>) {
    let Some((before, inside)) = rest.split_once('{') else {
        return paths.push(format!("{prefix}{}", rest.trim()));
    };
    let inside = inside.trim_end().strip_suffix('}').unwrap_or(inside);
    let (prefix, mut depth, mut start) = (format!("{prefix}{}", before.trim()), 0, 0);
    for (at, letter) in inside.char_indices().chain([(inside.len(), ',')]) {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !inside[start..at].trim().is_empty() {
                    expand(&prefix, inside[start..at].trim(), paths);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

fn uses(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text);
    let lines: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let mut paths = Vec::new();
    for statement in lines.join("\n").split(';') {
        let starts = |line: &&str| {
            ["use ", "pub use ", "pub(crate) use ", "pub(super) use "].iter().any(|u| line.starts_with(u))
        };
        let Some(first) = statement.lines().position(|line| starts(&line)) else { continue };
        let whole = statement.lines().skip(first).collect::<Vec<_>>().join(" ");
        let (_, rest) = whole.split_once("use ").expect("a use");
        expand("", rest, &mut paths);
    }
    paths
}

/// The module that a path leads to, seen from `module`.
fn target(modules: &Modules, module: &[String], path: &str) -> Option<Vec<String>> {
    let mut from = module.to_vec();
    let mut steps: Vec<&str> = path.split("::").map(|step| step.split(" as ").next().unwrap_or(step).trim()).collect();
    match steps[0] {
        "crate" => from.clear(),
        "self" => {}
        "super" => {
            let up = steps.iter().take_while(|step| **step == "super").count();
            from.truncate(from.len().checked_sub(up)?);
            steps.drain(1..up);
        }
        child => {
            let inner = [module, &[child.to_owned()]].concat();
            return modules.contains_key(&inner).then(|| deepest(modules, inner, &steps[1..]));
        }
    }
    Some(deepest(modules, from, &steps[1..]))
}

fn deepest(modules: &Modules, mut at: Vec<String>, steps: &[&str]) -> Vec<String> {
    for step in steps {
        at.push((*step).to_owned());
        if !modules.contains_key(&at) {
            at.pop();
            break;
        }
    }
    at
}

/// A circle that begins and ends at `at`, if one does.
fn circle<'a>(
    arrows: &'a BTreeMap<Vec<String>, BTreeSet<Vec<String>>>,
    at: &'a [String],
    way: &mut Vec<&'a [String]>,
    done: &mut BTreeSet<&'a [String]>,
) -> bool {
    if let Some(start) = way.iter().position(|module| *module == at) {
        way.drain(..start);
        return true;
    }
    if !done.insert(at) {
        return false;
    }
    way.push(at);
    let next = arrows.get(at).into_iter().flatten();
    for target in next {
        if circle(arrows, target, way, done) {
            return true;
        }
    }
    way.pop();
    false
}

#[test]
fn files_of_uv_power_have_no_circle() {
    let mut modules = Modules::new();
    collect(&uv_test_support::root().join("uv-power/src"), &[], &mut modules);
    assert!(modules.len() > 100, "{} modules", modules.len());
    let mut arrows: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (module, text) in &modules {
        let targets = uses(text).into_iter().filter_map(|path| target(&modules, module, &path));
        let others = targets.filter(|target| !module.starts_with(target));
        let parts = modules.keys().filter(|part| part.split_last().is_some_and(|(_, around)| around == module));
        arrows.entry(module.clone()).or_default().extend(others.chain(parts.cloned()));
    }
    assert!(arrows.values().map(BTreeSet::len).sum::<usize>() > 300);
    let mut done = BTreeSet::new();
    for module in arrows.keys() {
        let mut way = Vec::new();
        if circle(&arrows, module, &mut way, &mut done) {
            let names: Vec<String> = way.iter().map(|module| module.join("::")).collect();
            panic!("a circle: {}", names.join(" -> "));
        }
    }
}
