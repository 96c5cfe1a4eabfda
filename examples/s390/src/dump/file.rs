//! Files as sources and sinks of dumps.

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use uv_s390::abi::dump::elf::{DumpSink, DumpSource};

use uv_programs::Failure;
use uv_programs::outputs::cannot_write;

/// A dump file that is read.
#[derive(Debug)]
pub struct FileSource {
    file: Mutex<File>,
    size: u64,
}

impl FileSource {
    /// Opens a file.
    ///
    /// # Errors
    /// Status 2 if it cannot be opened, or is a folder.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let cannot = |error: io::Error| Failure::unusable(format_args!("cannot read {}: {error}", path.display()));
        let file = File::open(path).map_err(cannot)?;
        let metadata = file.metadata().map_err(cannot)?;
        if metadata.is_dir() {
            return Err(Failure::unusable(format_args!("cannot read {}: it is a folder", path.display())));
        }
        Ok(Self { file: Mutex::new(file), size: metadata.len() })
    }
}

impl DumpSource for FileSource {
    type Error = io::Error;

    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(buffer)
    }
}

/// A file that is written from its start on.
#[derive(Debug)]
pub struct FileSink<'f> {
    file: BufWriter<&'f mut File>,
    shown: &'f Path,
    failed: Option<Failure>,
}

impl<'f> FileSink<'f> {
    /// Writes to `file`, which has the name `shown` for people.
    #[must_use]
    pub fn new(file: &'f mut File, shown: &'f Path) -> Self {
        Self { file: BufWriter::with_capacity(1 << 20, file), shown, failed: None }
    }

    /// Writes what is still in memory, after `written`, which is how the writing ended.
    ///
    /// # Errors
    /// Status 2 if a part cannot be written, or could not: that is why the writing ended. Else that of `written`.
    pub fn finish(mut self, written: Result<(), Failure>) -> Result<(), Failure> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        written?;
        self.file.flush().map_err(|error| cannot_write(self.shown, &error))
    }
}

impl DumpSink for &mut FileSink<'_> {
    type Error = io::Error;

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        FileSink::write(self, bytes)
    }
}

impl FileSink<'_> {
    /// Writes the next bytes.
    ///
    /// # Errors
    /// The system's; [`FileSink::finish`] tells it to people.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes).inspect_err(|error| self.failed = Some(cannot_write(self.shown, error)))
    }
}
