//! Where a path leads, whichever way it is written.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Symbolic links that are followed one after the other, as Linux does.
const LINKS: usize = 40;

/// A file, there or not there yet.
#[derive(Debug)]
pub(super) struct Place {
    /// Absolute path without symbolic links.
    pub(super) target: PathBuf,
    /// The file, if it is there.
    pub(super) found: Option<Metadata>,
    /// Whether the path itself is taken: by the file, or by a symbolic link that leads nowhere.
    pub(super) taken: bool,
    folder: Option<Id>,
}

/// What tells files apart: device and inode.
pub(super) type Id = (u64, u64);

#[cfg(unix)]
pub(super) fn id(metadata: &Metadata) -> Option<Id> {
    use std::os::unix::fs::MetadataExt as _;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
pub(super) fn id(_metadata: &Metadata) -> Option<Id> {
    None
}

impl Place {
    /// Follows a path.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let taken = path.symlink_metadata().is_ok();
        let target = follow(path)?;
        let found = match fs::metadata(&target) {
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let folder = target.parent().and_then(|folder| id(&fs::metadata(folder).ok()?));
        Ok(Self { target, found, taken, folder })
    }

    /// The folder of the file.
    pub(super) fn folder(&self) -> &Path {
        self.target.parent().unwrap_or(&self.target)
    }

    /// Whether both are the same file, or would be.
    pub(super) fn is(&self, other: &Self) -> bool {
        let ids = |place: &Self| place.found.as_ref().and_then(id);
        match (ids(self), ids(other)) {
            (Some(one), Some(two)) => one == two,
            _ => {
                let same_folder = self.folder.is_some() && self.folder == other.folder;
                self.target == other.target || same_folder && self.target.file_name() == other.target.file_name()
            }
        }
    }
}

/// The path without symbolic links; what is not there yet stays as it is written.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..LINKS {
        match fs::canonicalize(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            found => return found,
        }
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        match fs::read_link(&path) {
            Ok(link) => path = folder.join(link),
            Err(_) => {
                let name = path.file_name().ok_or(ErrorKind::NotFound)?;
                return Ok(follow(folder)?.join(name));
            }
        }
    }
    Err(io::Error::other("too many symbolic links"))
}
