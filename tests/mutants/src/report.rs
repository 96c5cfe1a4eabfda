//! What a run says in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::judge::Verdict;
use crate::known::Known;
use crate::site::Mutant;

#[derive(Clone, Copy, Default)]
struct Count {
    caught: usize,
    explained: usize,
    survived: usize,
}

impl Count {
    fn line(&self, name: &str, width: usize) -> String {
        let counted = self.caught + self.survived;
        let Self { caught, explained, survived } = self;
        let percent = (caught * 100).checked_div(counted).unwrap_or(100);
        format!(
            "{name:width$} {caught:>6} of {counted:<6} {percent:>3} %  {survived:>5} survived {explained:>5} explained\n"
        )
    }
}

const UNREACHED: &str = "  (no test reaches it)";

/// Files and keys of the survivors in a report.
pub(crate) fn survivors(report: &str) -> BTreeSet<(String, String)> {
    let line = |line: &str| {
        let (place, key) = line.split_once(' ')?;
        let (file, number) = place.split_once(':')?;
        let key = key.strip_suffix(UNREACHED).unwrap_or(key);
        (key.starts_with('`') && number.parse::<usize>().is_ok()).then(|| (file.to_owned(), key.to_owned()))
    };
    report.lines().filter_map(line).collect()
}

/// The report: a line for each file, survivors, explanations that are out of date.
pub(crate) fn report(mutants: &[Mutant], verdicts: &BTreeMap<u32, Verdict>, known: &Known) -> String {
    let mut files: BTreeMap<&str, Count> = BTreeMap::new();
    let mut total = Count::default();
    let (mut survivors, mut wrong) = (String::new(), String::new());
    for mutant in mutants {
        let Some(verdict) = verdicts.get(&mutant.id) else { continue };
        let mut both = |act: fn(&mut Count)| {
            act(files.entry(&mutant.file).or_default());
            act(&mut total);
        };
        let explained = known.explains(mutant);
        if verdict.is_caught() {
            both(|count| count.caught += 1);
            if explained {
                let _ = writeln!(wrong, "{}:{} {}: explained, but caught", mutant.file, mutant.line, mutant.key());
            }
        } else if explained {
            both(|count| count.explained += 1);
        } else {
            both(|count| count.survived += 1);
            let reached = if *verdict == Verdict::Unreached { UNREACHED } else { "" };
            let _ = writeln!(survivors, "{}:{} {}{reached}", mutant.file, mutant.line, mutant.key());
        }
    }
    for entry in known.stale(mutants) {
        let _ = writeln!(wrong, "{entry}: explained, but there is no such change");
    }
    let width = files.keys().map(|file| file.len()).max().unwrap_or_default();
    let mut text = String::from("Caught\n");
    files.iter().for_each(|(file, count)| text.push_str(&count.line(file, width)));
    text.push_str(&total.line("all", width));
    let timed_out = verdicts.values().filter(|verdict| matches!(verdict, Verdict::TimedOut(_))).count();
    let _ = writeln!(text, "{timed_out} of the caught did not come to an end.");
    let _ = write!(text, "\nSurvivors\n{survivors}");
    if !wrong.is_empty() {
        let _ = write!(text, "\ndocs/mutants.md\n{wrong}");
    }
    text
}
