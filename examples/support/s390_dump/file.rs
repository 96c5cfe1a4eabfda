//! Files as sources and sinks of dumps.

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use uv_s390::abi::dump::elf::{DumpSink, DumpSource};

use crate::Failure;

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
pub struct FileSink<'f>(BufWriter<&'f mut File>);

impl<'f> FileSink<'f> {
    /// Writes to `file`.
    #[must_use]
    pub fn new(file: &'f mut File) -> Self {
        Self(BufWriter::with_capacity(1 << 20, file))
    }

    /// Writes what is still in memory.
    ///
    /// # Errors
    /// Status 2 if it cannot be written.
    pub fn finish(mut self) -> Result<(), Failure> {
        self.0.flush().map_err(|error| Failure::unusable(format_args!("cannot write the output: {error}")))
    }
}

impl DumpSink for FileSink<'_> {
    type Error = io::Error;

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }
}
