//! Files that the example programs read.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::exit::Failure;

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
    let metadata = file.metadata().map_err(cannot)?;
    if metadata.is_dir() {
        return Err(Failure::unusable(format_args!("cannot read {name}: it is a folder")));
    }
    let too_long = || Failure::unusable(format_args!("{name} is longer than the {max} bytes accepted here"));
    // A sparse giant is not read up to the limit first.
    if metadata.is_file() && metadata.len() > max {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(cannot)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= max) { Ok(bytes) } else { Err(too_long()) }
}

#[cfg(test)]
mod tests {
    use super::read_file_limited;

    #[test]
    fn reads_up_to_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, [7; 10]).unwrap();
        assert_eq!(read_file_limited(&path, 10).unwrap(), [7; 10]);
        assert_eq!(read_file_limited(&path, 9).unwrap_err().status(), 2);
        assert!(read_file_limited(folder.path(), 9).unwrap_err().sentence().contains("folder"));
        assert!(read_file_limited(&folder.path().join("b"), 9).is_err());
    }
}
