//! Temporary files get their names.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;

use tempfile::{Builder, TempPath};

use super::journal::Undo;
use super::place::{Id, id};
use super::sentences::{cannot_write, changed_meanwhile, exists, one_file};
use super::{Output, Outputs, Rule};
use crate::exit::Failure;

impl Outputs {
    /// Gives all files their names, then does `last`, such as telling the user. Where one of these steps fails, all are taken
    /// back. A file that was planned and not written stays away.
    ///
    /// # Errors
    /// Status 2 if a file cannot get its name, and those of `last`.
    pub fn commit(self, last: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
        let mut named: Vec<(Id, &Path)> = Vec::new();
        for output in &self.outputs {
            self.publish(output, &mut named)?;
        }
        last()?;
        self.journal.keep();
        Ok(())
    }

    fn publish<'o>(&'o self, output: &'o Output, named: &mut Vec<(Id, &'o Path)>) -> Result<(), Failure> {
        let cannot = |error: io::Error| match error.kind() {
            ErrorKind::AlreadyExists => exists(&output.shown),
            _ => cannot_write(&output.shown, &error),
        };
        let target = &output.place.target;
        if !output.line.is_empty() {
            return self.change(|| append(target, &output.line)).map_err(cannot);
        }
        let Some(temporary) = &output.temporary else { return Ok(()) };
        let now = fs::metadata(target).ok();
        if output.rule == Rule::InPlace && stamp(now.as_ref()) != stamp(output.place.found.as_ref()) {
            return Err(changed_meanwhile(&output.shown));
        }
        match now {
            Some(now) if self.overwrite || output.rule == Rule::InPlace => {
                // Two paths that came to lead to one file only now.
                if let Some((_, other)) = named.iter().find(|(other, _)| id(&now) == Some(*other)) {
                    return Err(one_file(other, &output.shown));
                }
                self.change(|| set_aside(target)).map_err(cannot)?;
                self.change(|| Ok((fs::rename(temporary, target)?, None))).map_err(cannot)?;
            }
            _ => self
                .change(|| {
                    TempPath::try_from_path(temporary)?.persist_noclobber(target)?;
                    Ok(((), Some(Undo::Remove(target.clone()))))
                })
                .map_err(cannot)?,
        }
        named.extend(fs::metadata(target).ok().as_ref().and_then(id).map(|id| (id, output.shown.as_path())));
        Ok(())
    }
}

/// Gives a file that is replaced a second name, until it is known that the run ends well.
fn set_aside(target: &Path) -> io::Result<((), Option<Undo>)> {
    let folder = target.parent().unwrap_or(target);
    let link = |backup: &Path| match fs::hard_link(target, backup) {
        // Not every file system has links, and not every file may have one more.
        Err(error) if error.kind() != ErrorKind::AlreadyExists && !backup.exists() => fs::rename(target, backup),
        linked => linked,
    };
    let (_, backup) = Builder::new().prefix(".old-").make_in(folder, link)?.keep()?;
    Ok(((), Some(Undo::Restore { backup, target: target.to_path_buf() })))
}

fn append(target: &Path, line: &[u8]) -> io::Result<((), Option<Undo>)> {
    let new = !target.exists();
    let mut file = OpenOptions::new().append(true).create(true).open(target)?;
    let before = file.metadata()?.len();
    let written = file.write_all(line).and_then(|()| file.sync_all());
    if let Err(error) = written {
        let _ = if new { fs::remove_file(target) } else { file.set_len(before) };
        return Err(error);
    }
    let after = before.saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX));
    let target = target.to_path_buf();
    Ok(((), Some(if new { Undo::Remove(target) } else { Undo::Cut { target, before, after } })))
}

/// What changes when somebody changes a file.
fn stamp(metadata: Option<&fs::Metadata>) -> Option<(Option<Id>, u64, Option<std::time::SystemTime>)> {
    metadata.map(|metadata| (id(metadata), metadata.len(), metadata.modified().ok()))
}
