//! Places in a file that can be changed, and the changes.

use std::ops::Range;

/// How the changed text stands beside the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// An expression: `(if on(n) { changed } else { original })`.
    Expression,
    /// A whole statement: the same without parentheses.
    Statement,
    /// The beginning of a body: `if on(n) { changed }` before it.
    Entry,
}

/// A place in a file.
#[derive(Debug)]
pub(crate) struct Site {
    /// Bytes of the file.
    pub(crate) range: Range<usize>,
    pub(crate) shape: Shape,
    /// Numbers of the mutants with the text that each puts here.
    pub(crate) choices: Vec<(u32, String)>,
}

/// One change of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mutant {
    /// The number that switches it on.
    pub(crate) id: u32,
    /// The file, from the root of the workspace.
    pub(crate) file: String,
    /// 1 is the first.
    pub(crate) line: usize,
    /// The function, with its type.
    pub(crate) function: String,
    /// The text as it is, on one line.
    pub(crate) original: String,
    /// The text in its place, on one line; empty when it is left out.
    pub(crate) changed: String,
    /// Counts changes of one function that read the same; 1 is the first.
    pub(crate) nth: usize,
}

impl Mutant {
    /// What stays the same when lines move: `function`, text and change, as in docs/mutants.md.
    pub(crate) fn key(&self) -> String {
        let nth = if self.nth > 1 { format!(" #{}", self.nth) } else { String::new() };
        format!("`{}`: `{}` -> `{}`{nth}", self.function, self.original, self.changed)
    }

    /// File and key.
    pub(crate) fn line(&self) -> String {
        format!("{}: {}", self.file, self.key())
    }
}

/// Text on one line, cut where it is long.
pub(crate) fn one_line(text: &str) -> String {
    const LONGEST: usize = 90;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ").replace('`', "'");
    if line.chars().count() <= LONGEST {
        return line;
    }
    let mut cut: String = line.chars().take(LONGEST).collect();
    cut.push('…');
    cut
}
