//! Content goes to temporary files.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tempfile::Builder;

use super::journal::Undo;
use super::sentences::cannot_write;
use super::{FileMode, Output, Outputs, Rule, Slot};
use crate::exit::Failure;

impl Outputs {
    /// Writes the content of a file to a temporary one beside it.
    ///
    /// # Errors
    /// Status 2 if it cannot be written.
    pub fn write(&mut self, slot: Slot, bytes: &[u8]) -> Result<(), Failure> {
        let Some(output) = self.outputs.get_mut(slot.0) else { return Ok(()) };
        if output.rule == Rule::Append {
            output.line.extend_from_slice(bytes);
            return Ok(());
        }
        let shown = output.shown.clone();
        self.fill(slot, |file| file.write_all(bytes).map_err(|error| cannot_write(&shown, &error)))
    }

    /// As [`Outputs::write`], for content that is not in memory as a whole: `fill` writes it.
    ///
    /// # Errors
    /// As [`Outputs::write`], and those of `fill`.
    pub fn fill<T>(&mut self, slot: Slot, fill: impl FnOnce(&mut File) -> Result<T, Failure>) -> Result<T, Failure> {
        let output = &self.outputs[slot.0];
        let cannot = |error: io::Error| cannot_write(&output.shown, &error);
        self.make_folder(output.place.folder()).map_err(cannot)?;
        let (mut file, temporary) = self.temporary(output).map_err(cannot)?;
        self.may_fail().map_err(cannot)?;
        let filled = fill(&mut file)?;
        file.sync_all().map_err(cannot)?;
        if let Some(earlier) = self.outputs[slot.0].temporary.replace(temporary) {
            let _ = fs::remove_file(earlier);
        }
        Ok(filled)
    }

    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        let missing: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
        missing.into_iter().rev().try_for_each(|folder| {
            self.change(|| Ok(((), Some(fs::create_dir(folder).map(|()| Undo::RemoveFolder(folder.into()))?))))
        })
    }

    fn temporary(&self, output: &Output) -> io::Result<(File, PathBuf)> {
        let mut builder = Builder::new();
        builder.prefix(".new-");
        let fresh = permissions_of_new_file(output.mode);
        if let Some(permissions) = &fresh {
            builder.permissions(permissions.clone());
        }
        let (file, path) = self.change(|| {
            let (file, path) = builder.tempfile_in(output.place.folder())?.keep()?;
            let undo = Undo::Remove(path.clone());
            Ok(((file, path), Some(undo)))
        })?;
        if let (FileMode::Plain, Some(found)) = (output.mode, &output.place.found) {
            file.set_permissions(found.permissions())?;
        }
        Ok((file, path))
    }
}

#[cfg(unix)]
fn permissions_of_new_file(mode: FileMode) -> Option<Permissions> {
    use std::os::unix::fs::PermissionsExt as _;
    Some(Permissions::from_mode(match mode {
        FileMode::Secret => 0o600,
        FileMode::Plain => 0o666,
    }))
}

#[cfg(not(unix))]
fn permissions_of_new_file(_mode: FileMode) -> Option<Permissions> {
    None
}
