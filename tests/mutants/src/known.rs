//! `docs/mutants.md`: changes that no test can notice, each with the reason.
//!
//! Under a heading `## FILE` one line each: ``- `FUNCTION`: `TEXT` -> `CHANGED`: reason``, with `#2` after the change for the
//! second that reads the same in a function. Lines that begin otherwise are prose.

use std::collections::BTreeMap;

use crate::site::Mutant;

/// Explained changes: file and key, and the reason.
#[derive(Debug, Default)]
pub(crate) struct Known(BTreeMap<(String, String), String>);

impl Known {
    /// Reads the file's text. An error names the line.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut known = Self::default();
        let mut file = "";
        for (n, line) in text.lines().enumerate() {
            if let Some(name) = line.strip_prefix("## ") {
                file = name.trim();
            } else if line.starts_with("- `") {
                let (key, reason) = entry(line).ok_or_else(|| format!("line {}: {line}", n + 1))?;
                known.0.insert((file.to_owned(), key), reason);
            }
        }
        Ok(known)
    }

    /// Whether a change is explained.
    pub(crate) fn explains(&self, mutant: &Mutant) -> bool {
        self.0.contains_key(&(mutant.file.clone(), mutant.key()))
    }

    /// Entries for these files that are about none of the changes.
    pub(crate) fn stale(&self, mutants: &[Mutant]) -> Vec<String> {
        let of_files = |file: &str| mutants.iter().any(|mutant| mutant.file == file);
        let matches = |file: &str, key: &str| mutants.iter().any(|mutant| mutant.file == file && mutant.key() == key);
        let keys = self.0.keys().filter(|(file, key)| of_files(file) && !matches(file, key));
        keys.map(|(file, key)| format!("{file}: {key}")).collect()
    }
}

/// A line's key and reason. The key is everything up to the colon after the change.
fn entry(line: &str) -> Option<(String, String)> {
    let text = line.strip_prefix("- ")?;
    // Five backticks open and close function and text; the sixth ends the change.
    let (sixth, _) = text.match_indices('`').nth(5)?;
    let (_, after) = text.split_at(sixth + 1);
    let (nth, reason) = after.split_once(':')?;
    let reason = reason.trim();
    let key = format!("{}{}", &text[..=sixth], nth.trim_end());
    (!reason.is_empty()).then(|| (key, reason.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutant(nth: usize) -> Mutant {
        let text = |text: &str| text.to_owned();
        let (file, function) = (text("a/src/b.rs"), text("F::g"));
        Mutant { id: 0, file, line: 3, function, original: text("a || b"), changed: text("a: b"), nth }
    }

    #[test]
    fn entries_match_by_file_function_and_text() {
        let known =
            Known::parse("# T\n\n## a/src/b.rs\n\n- `F::g`: `a || b` -> `a: b` #2: both are the same\n").unwrap();
        assert!(!known.explains(&mutant(1)));
        assert!(known.explains(&mutant(2)));
        assert!(!known.explains(&Mutant { file: "a/src/c.rs".to_owned(), ..mutant(2) }));
        assert_eq!(known.stale(&[mutant(1)]), ["a/src/b.rs: `F::g`: `a || b` -> `a: b` #2"]);
        assert_eq!(known.stale(&[mutant(2)]), [""; 0]);
    }

    #[test]
    fn an_entry_without_a_reason_is_an_error() {
        assert!(Known::parse("- `f`: `a` -> `b`").is_err());
        assert!(Known::parse("- `f`: `a` -> `b`:").is_err());
    }
}
