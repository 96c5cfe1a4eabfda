//! Files of the example programs: read with a limit, written whole or not at all.

use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use tempfile::Builder;

use crate::exit::Failure;

/// Who may read a file that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileMode {
    /// Keys and plaintext: the owner only (0600), whatever the file it replaces allowed.
    Secret,
    /// Everything else: as the file it replaces, or 0666 less the umask for a new one.
    Plain,
}

/// Reads a whole file of at most `max` bytes.
///
/// No memory is set aside by the size the file claims.
///
/// # Errors
/// Status 2 with one sentence that names the file: it cannot be opened or read, is a folder, or is longer than `max`.
pub fn read_file_limited(path: &Path, max: u64) -> Result<Vec<u8>, Failure> {
    let name = path.display();
    let cannot = |error: std::io::Error| Failure::unusable(format_args!("cannot read {name}: {error}"));
    let file = File::open(path).map_err(cannot)?;
    if file.metadata().map_err(cannot)?.is_dir() {
        return Err(Failure::unusable(format_args!("cannot read {name}: it is a folder")));
    }
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(cannot)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= max) {
        Ok(bytes)
    } else {
        Err(Failure::unusable(format_args!("{name} is longer than the {max} bytes accepted here")))
    }
}

/// Writes a file whole or not at all: a temporary file in the same folder, then a rename over the old one.
///
/// A symbolic link is followed, so that the link stays and its target is replaced. On failure the old file
/// is untouched and the temporary one is gone.
///
/// # Errors
/// Status 2 with one sentence that names the file: the folder is missing or not writable, or the path names
/// something that is not a regular file.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: FileMode) -> Result<(), Failure> {
    write_atomic_with(path, mode, |file| {
        file.write_all(bytes)
            .map_err(|error| Failure::unusable(format_args!("cannot write {}: {error}", path.display())))
    })
}

/// As [`write_atomic`], for content that is not in memory as a whole: `fill` writes it. When `fill` fails nothing is left
/// behind.
///
/// # Errors
/// As [`write_atomic`], and those of `fill`.
pub fn write_atomic_with<T>(
    path: &Path,
    mode: FileMode,
    fill: impl FnOnce(&mut File) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let name = path.display();
    let cannot = |error: std::io::Error| Failure::unusable(format_args!("cannot write {name}: {error}"));
    let (target, old) = match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => (fs::canonicalize(path).map_err(cannot)?, Some(metadata.permissions())),
        Ok(_) => {
            return Err(Failure::unusable(format_args!("cannot write {name}: it is not a regular file")));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => (path.to_path_buf(), None),
        Err(error) => return Err(cannot(error)),
    };
    let folder = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let mut builder = Builder::new();
    builder.prefix(".new-");
    let fresh = permissions_of_new_file(mode);
    if let Some(permissions) = &fresh {
        builder.permissions(permissions.clone());
    }
    let mut file = builder.tempfile_in(folder).map_err(cannot)?;
    if let (FileMode::Plain, Some(permissions)) = (mode, old) {
        file.as_file().set_permissions(permissions).map_err(cannot)?;
    }
    let filled = fill(file.as_file_mut())?;
    file.as_file().sync_all().map_err(cannot)?;
    file.persist(&target).map_err(|error| cannot(error.error))?;
    Ok(filled)
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

#[cfg(test)]
mod tests {
    use super::{FileMode, read_file_limited, write_atomic};

    #[test]
    fn reads_up_to_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_atomic(&path, &[7; 10], FileMode::Plain).unwrap();
        assert_eq!(read_file_limited(&path, 10).unwrap(), [7; 10]);
        assert_eq!(read_file_limited(&path, 9).unwrap_err().status(), 2);
        assert!(read_file_limited(folder.path(), 9).unwrap_err().sentence().contains("folder"));
        assert!(read_file_limited(&folder.path().join("b"), 9).is_err());
    }

    #[test]
    fn replaces_whole_and_leaves_nothing_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_atomic(&path, b"one", FileMode::Plain).unwrap();
        write_atomic(&path, b"two", FileMode::Secret).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert!(write_atomic(&folder.path().join("no/such"), b"x", FileMode::Plain).is_err());
        assert!(write_atomic(folder.path(), b"x", FileMode::Plain).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn keeps_links_and_permissions() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("a"), folder.path().join("link"));
        write_atomic(&path, b"one", FileMode::Plain).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("a", &link).unwrap();
        write_atomic(&link, b"two", FileMode::Plain).unwrap();
        assert_eq!(std::fs::read_link(&link).unwrap().to_str(), Some("a"));
        let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!((std::fs::read(&path).unwrap(), mode()), (b"two".to_vec(), 0o640));
        write_atomic(&path, b"three", FileMode::Secret).unwrap();
        assert_eq!(mode(), 0o600);
    }
}
