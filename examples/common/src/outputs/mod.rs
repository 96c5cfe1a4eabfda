//! Files that a run writes: all of them whole, or none.
//!
//! ```
//! use uv_programs::outputs::{FileMode, Outputs};
//! # let folder = tempfile::tempdir().expect("a folder");
//! # let (request, key, input) = (folder.path().join("a"), folder.path().join("b"), folder.path().join("c"));
//! let mut outputs = Outputs::new(false);
//! outputs.input(&input)?; // never an output too
//! let request = outputs.file(&request, FileMode::Plain)?; // refused if it exists, or is another output
//! let key = outputs.file(&key, FileMode::Secret)?;
//! outputs.write(request, b"request")?; // into temporary files
//! outputs.write(key, b"key")?;
//! outputs.commit(|| Ok(()))?; // now both have their names
//! # Ok::<(), uv_programs::Failure>(())
//! ```

mod commit;
mod fill;
mod journal;
mod place;
mod sentences;
#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use self::journal::{Journal, Undo};
use self::place::Place;
use self::sentences::{exists, input_too, one_file};
use crate::exit::Failure;
use clap::Args;

pub use journal::catch_signals;
pub use sentences::cannot_write;

/// Whether a run may replace files.
#[derive(Args, Debug, Clone, Copy, Default)]
pub struct OverwriteArg {
    /// Replace outputs that exist
    #[arg(long)]
    pub overwrite: bool,
}

/// Who may read a file that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileMode {
    /// Keys and plaintext: the owner only (0600), whatever the file it replaces allowed.
    Secret,
    /// Everything else: as the file it replaces, or 0666 less the umask for a new one.
    Plain,
}

/// What may be at an output's path before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Nothing, or with `--overwrite` another file.
    Fresh,
    /// The file that is changed.
    InPlace,
    /// Lines that stay.
    Append,
}

/// One output of an [`Outputs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(usize);

#[derive(Debug)]
struct Output {
    /// The path as it was given.
    shown: PathBuf,
    place: Place,
    mode: FileMode,
    rule: Rule,
    /// Where the new content waits.
    temporary: Option<PathBuf>,
    /// What is to be appended.
    line: Vec<u8>,
}

/// The outputs of one run. Dropped without [`Outputs::commit`], it leaves everything as it was.
#[derive(Debug)]
pub struct Outputs {
    overwrite: bool,
    inputs: Vec<(PathBuf, Place)>,
    outputs: Vec<Output>,
    /// A folder that is made if it is not there.
    folder: Option<PathBuf>,
    journal: Journal,
    #[cfg(test)]
    faults: tests::Faults,
}

impl OverwriteArg {
    /// The outputs of a run.
    #[must_use]
    pub fn outputs(self) -> Outputs {
        Outputs::new(self.overwrite)
    }
}

impl Outputs {
    /// A run; `overwrite` lets it replace files.
    #[must_use]
    pub fn new(overwrite: bool) -> Self {
        Self {
            overwrite,
            inputs: Vec::new(),
            outputs: Vec::new(),
            folder: None,
            journal: Journal::new(),
            #[cfg(test)]
            faults: tests::Faults::default(),
        }
    }

    /// Names a file that the run reads. One that is not there is for its reader to tell.
    ///
    /// # Errors
    /// Status 2 if it is an output too.
    pub fn input(&mut self, path: &Path) -> Result<(), Failure> {
        let Ok(place) = Place::of(path) else { return Ok(()) };
        match self.outputs.iter().find(|output| output.place.is(&place)) {
            Some(output) => Err(input_too(&output.shown, path)),
            None => {
                self.inputs.push((path.to_path_buf(), place));
                Ok(())
            }
        }
    }

    /// Names the files that the run reads, as [`Outputs::input`].
    ///
    /// # Errors
    /// As there.
    pub fn inputs<'p>(&mut self, paths: impl IntoIterator<Item = &'p PathBuf>) -> Result<(), Failure> {
        paths.into_iter().try_for_each(|path| self.input(path))
    }

    /// Lets files go into a folder that is not there yet; it is made when the first of them is written.
    pub fn folder(&mut self, path: &Path) {
        self.folder = Some(path.to_path_buf());
    }

    /// Plans a new file. Nothing is written yet.
    ///
    /// # Errors
    /// Status 2 if the file exists and may not be replaced, is an input or another output of the run, is something else than
    /// a regular file, or has no folder.
    pub fn file(&mut self, path: &Path, mode: FileMode) -> Result<Slot, Failure> {
        self.plan(path, mode, Rule::Fresh)
    }

    /// Plans the change of a file; the file may be read too. To be called before it is read.
    ///
    /// # Errors
    /// As [`Outputs::file`], but the file may exist.
    pub fn in_place(&mut self, path: &Path) -> Result<Slot, Failure> {
        self.plan(path, FileMode::Plain, Rule::InPlace)
    }

    /// Plans to append to a file; what it holds stays.
    ///
    /// # Errors
    /// As [`Outputs::file`], but the file may exist.
    pub fn append(&mut self, path: &Path) -> Result<Slot, Failure> {
        self.plan(path, FileMode::Plain, Rule::Append)
    }

    fn plan(&mut self, path: &Path, mode: FileMode, rule: Rule) -> Result<Slot, Failure> {
        let wrong = |what: &str| Failure::unusable(format_args!("cannot write {}: {what}", path.display()));
        let place = Place::of(path).map_err(|error| cannot_write(path, &error))?;
        if place.found.as_ref().is_some_and(|found| !found.is_file()) {
            return Err(wrong(if place.target.is_dir() { "it is a folder" } else { "it is not a regular file" }));
        }
        if place.found.is_none() && path.as_os_str().to_string_lossy().ends_with(std::path::is_separator) {
            return Err(wrong("it is no name of a file"));
        }
        if let Some((input, _)) = self.inputs.iter().find(|(_, input)| input.is(&place)) {
            return Err(input_too(path, input));
        }
        if let Some(other) = self.outputs.iter().find(|other| other.place.is(&place)) {
            return Err(one_file(&other.shown, path));
        }
        if place.taken && rule == Rule::Fresh && !self.overwrite {
            return Err(exists(path));
        }
        let new_folder = self.folder.as_ref().is_some_and(|folder| path.starts_with(folder));
        if !place.folder().is_dir() && !new_folder {
            return Err(cannot_write(path, &ErrorKind::NotFound.into()));
        }
        let shown = path.to_path_buf();
        self.outputs.push(Output { shown, place, mode, rule, temporary: None, line: Vec::new() });
        Ok(Slot(self.outputs.len() - 1))
    }

    fn change<T>(&self, act: impl FnOnce() -> io::Result<(T, Option<Undo>)>) -> io::Result<T> {
        self.may_fail()?;
        self.journal.change(act)
    }

    /// Where tests let a run fail.
    fn may_fail(&self) -> io::Result<()> {
        #[cfg(test)]
        self.faults.step()?;
        Ok(())
    }
}
