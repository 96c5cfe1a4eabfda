//! Why a file cannot be an output. The sentences name paths as they were given, and no temporary file.

use std::io::{self, ErrorKind};
use std::path::Path;

use crate::exit::Failure;

/// The sentence for a file that cannot be written.
pub fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    let why = match error.kind() {
        ErrorKind::NotFound => "its folder is not there; make it first".into(),
        ErrorKind::NotADirectory => "a part of the path is a file, not a folder".into(),
        ErrorKind::PermissionDenied => "its folder may not be written to; choose another one".into(),
        ErrorKind::ReadOnlyFilesystem => "its folder is read-only; choose another one".into(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "there is no space left; nothing was kept".into(),
        ErrorKind::FileTooLarge => "it grows larger than files may be here; nothing was kept".into(),
        // Only bare system errors have no path of a temporary file in their text.
        _ if error.raw_os_error().is_some() => error.to_string(),
        kind => kind.to_string(),
    };
    Failure::unusable(format_args!("cannot write {}: {why}", path.display()))
}

pub(super) fn exists(path: &Path) -> Failure {
    Failure::unusable(format_args!("{} exists already; --overwrite replaces it", path.display()))
}

pub(super) fn input_too(output: &Path, input: &Path) -> Failure {
    let (output, input) = (output.display(), input.display());
    Failure::unusable(format_args!("{output} would replace the input {input}; give the output its own path"))
}

pub(super) fn one_file(one: &Path, two: &Path) -> Failure {
    let (one, two) = (one.display(), two.display());
    Failure::unusable(format_args!("{one} and {two} are one file, but different outputs; give each its own path"))
}

pub(super) fn changed_meanwhile(path: &Path) -> Failure {
    Failure::unusable(format_args!("{} was changed by somebody else meanwhile; try again", path.display()))
}
