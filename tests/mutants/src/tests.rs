//! A small library whose tests notice some changes and not others.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::judge::Verdict;
use crate::known::Known;
use crate::layout::Library;
use crate::plan::Plan;
use crate::prepare::Prepared;
use crate::report::{report, survivors};
use crate::site::Mutant;

const LIBRARY: Library = Library { package: "tiny", folder: "tiny", files: &[], testers: &[], tests: &["outside"] };

const MANIFEST: &str = "[package]\nname = \"tiny\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";

const CODE: &str = r#"#![no_std]
//! A library.

/// A code.
#[derive(Debug, PartialEq)]
pub enum Code { Empty, Long }

/// Checked well.
pub fn check(text: &str) -> Result<(), Code> {
    if text.is_empty() {
        return Err(Code::Empty);
    }
    if text.len() > 4 {
        return Err(Code::Long);
    }
    Ok(())
}

/// Checked badly: never at the bound.
pub fn small(n: u32) -> bool {
    n < LIMIT
}

/// Checked from outside.
pub fn twice(n: u32) -> u32 {
    n * 2
}

/// Never checked.
pub fn lost(list: &mut [u8]) {
    list[0] = 1;
}

/// A constant stays.
pub const LIMIT: u32 = 10 + 90;

/// A change of the middle would not compile.
pub fn moved<'a>(text: &'a str) -> &'a str {
    let kept;
    kept = text;
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks() {
        assert_eq!(check(""), Err(Code::Empty));
        assert_eq!(check("abcd"), Ok(()));
        assert_eq!(check("abcde"), Err(Code::Long));
    }

    #[test]
    fn sizes() {
        assert!(small(1));
        assert!(!small(1000));
        assert_eq!(moved("a"), "a");
    }
}
"#;

const OUTSIDE: &str = "#[test]\nfn doubles() {\n    assert_eq!(tiny::twice(3), 6);\n}\n";

fn tiny(folder: &Path) {
    let put = |path: &str, text: &str| {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put("Cargo.toml", "[workspace]\nmembers = [\"tiny\"]\nresolver = \"3\"\n");
    put("tiny/Cargo.toml", MANIFEST);
    put("tiny/src/lib.rs", CODE);
    put("tiny/tests/outside.rs", OUTSIDE);
}

fn keys(mutants: &[Mutant]) -> Vec<String> {
    mutants.iter().map(Mutant::key).collect()
}

#[test]
fn changes_are_found_where_they_mean_something() {
    let folder = tempfile::tempdir().unwrap();
    tiny(folder.path());
    let prepared = Prepared::read(folder.path(), "tiny", |_| true).unwrap();
    let expected = [
        "`check`: `fn check` -> `Ok(())`",
        "`check`: `text.is_empty()` -> `true`",
        "`check`: `text.is_empty()` -> `false`",
        "`check`: `Code::Empty` -> `Code::Long`",
        "`check`: `text.len() > 4` -> `true`",
        "`check`: `text.len() > 4` -> `false`",
        "`check`: `text.len() > 4` -> `text.len() >= 4`",
        "`check`: `Code::Long` -> `Code::Empty`",
        "`small`: `fn small` -> `true`",
        "`small`: `fn small` -> `false`",
        "`small`: `n < LIMIT` -> `n <= LIMIT`",
        "`twice`: `fn twice` -> `0`",
        "`twice`: `fn twice` -> `1`",
        "`twice`: `n * 2` -> `n + 2`",
        "`twice`: `2` -> `2 + 1`",
        "`lost`: `fn lost` -> `()`",
        "`lost`: `list[0] = 1;` -> ``",
        "`lost`: `0` -> `0 + 1`",
        "`lost`: `1` -> `1 + 1`",
        "`moved`: `kept = text;` -> ``",
    ];
    assert_eq!(keys(&prepared.mutants), expected);
}

#[test]
#[ignore = "builds a library: .ci/slow"]
fn tests_catch_what_they_check_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    tiny(folder.path());
    let prepared = Prepared::read(folder.path(), "tiny", |_| true).unwrap();
    let end = Instant::now() + Duration::from_secs(300);
    let plan =
        Plan { jobs: 2, only: None, sample: None, seed: 1, units_only: false, slowest: Duration::from_secs(60), end };
    let (mutants, verdicts) = plan.carry_out(prepared, &LIBRARY, &folder.path().join("target")).unwrap();

    assert!(!keys(&mutants).iter().any(|key| key.contains("kept")), "does not compile");
    assert_eq!(mutants.len(), 19);
    let of: BTreeMap<String, &Verdict> = mutants.iter().map(|mutant| (mutant.key(), &verdicts[&mutant.id])).collect();
    for (key, verdict) in &of {
        match key.split(':').next().unwrap() {
            "`lost`" => assert_eq!(**verdict, Verdict::Unreached, "{key}"),
            "`small`" if key.contains("<=") => assert_eq!(**verdict, Verdict::Survived, "{key}"),
            "`check`" => assert_eq!(**verdict, Verdict::Caught("tests::checks".to_owned()), "{key}"),
            "`small`" => assert_eq!(**verdict, Verdict::Caught("tests::sizes".to_owned()), "{key}"),
            _ => assert_eq!(**verdict, Verdict::Caught("doubles".to_owned()), "{key}"),
        }
    }

    let explained =
        "## tiny/src/lib.rs\n\n- `small`: `n < LIMIT` -> `n <= LIMIT`: nobody asks\n- `gone`: `a` -> `b`: was here\n";
    let text = report(&mutants, &verdicts, &Known::parse(explained).unwrap());
    assert!(text.contains("14 of 18      77 %      4 survived     1 explained"), "{text}");
    assert!(text.contains("tiny/src/lib.rs:31 `lost`: `list[0] = 1;` -> ``  (no test reaches it)\n"), "{text}");
    assert!(text.contains("tiny/src/lib.rs: `gone`: `a` -> `b`: explained, but there is no such change\n"), "{text}");
    let dropped = fs::read_to_string(folder.path().join("target/mutants/tiny/dropped.txt")).unwrap();
    assert_eq!(dropped, "tiny/src/lib.rs: `moved`: `kept = text;` -> ``");
    let again = Prepared::read(folder.path(), "tiny", |_| true).unwrap();
    let plan = Plan { only: Some(text.clone()), ..plan };
    let (_, verdicts) = plan.carry_out(again, &LIBRARY, &folder.path().join("target")).unwrap();
    assert_eq!(verdicts.len(), 4, "the survivors without the explained one: {verdicts:?}");

    let named = survivors(&text);
    assert!(named.contains(&("tiny/src/lib.rs".to_owned(), "`lost`: `list[0] = 1;` -> ``".to_owned())));
}
