//! `decrypt`: opens a dump with the owner's key.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use uv_s390::abi::dump::BlockError;
use uv_s390::abi::dump::elf::{DumpFileError, DumpSink};
use uv_s390::owner::crypto::Cck;
use uv_s390::owner::dump::elf::{DecryptedDump, DumpReader};

use super::{FileSink, FileSource, progress};
use crate::keys::read_key;
use uv_programs::Failure;
use uv_programs::output::print;
use uv_programs::outputs::{FileMode, OverwriteArg};

/// Form of the output.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// An ordinary ELF dump
    Elf,
    /// The memory and nothing else
    Raw,
}

/// Options of `decrypt`.
#[derive(Args, Debug)]
pub struct Decrypt {
    /// Customer communication key, 32 bytes
    #[arg(short, long, value_name = "CCK")]
    pub key: PathBuf,
    /// Form of the output
    #[arg(long, value_enum, default_value = "elf")]
    pub format: Format,
    /// Dump of a protected guest
    pub dump: PathBuf,
    /// Where the plain dump goes
    pub out: PathBuf,
    /// Whether files may be replaced.
    #[command(flatten)]
    pub overwrite: OverwriteArg,
}

/// Says what is wrong with a dump: a wrong key or a changed part is a refusal, everything else unusable input.
pub(super) fn failure(path: &Path, error: &DumpFileError<io::Error>) -> Failure {
    let failure = match error {
        DumpFileError::Block(BlockError::Authentication) => Failure::refused(error),
        _ => Failure::unusable(error),
    };
    failure.at(path.display())
}

/// Opens a dump with a key.
pub(super) fn open(dump: &Path, key: &Path) -> Result<DecryptedDump<FileSource>, Failure> {
    let cck = Cck::from(read_key::<32>(key)?);
    let reader = DumpReader::open(FileSource::open(dump)?).map_err(|error| failure(dump, &error))?;
    DecryptedDump::open(reader, &cck).map_err(|error| failure(dump, &error))
}

/// A sink that moves a progress bar.
struct Counted<'f>(FileSink<'f>, indicatif::ProgressBar);

impl DumpSink for Counted<'_> {
    type Error = io::Error;

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.1.inc(u64::try_from(bytes.len()).unwrap_or(0));
        self.0.write(bytes)
    }
}

impl Decrypt {
    /// Decrypts. On an error no output is left behind.
    ///
    /// # Errors
    /// Status 1 with a wrong key or a changed part; status 2 for anything that is no such dump.
    pub fn run(&self) -> Result<ExitCode, Failure> {
        let mut outputs = self.overwrite.outputs();
        outputs.inputs([&self.key, &self.dump])?;
        let out = outputs.file(&self.out, FileMode::Secret)?;
        let dump = open(&self.dump, &self.key)?;
        let memory: u64 = dump.memory().map(|block| block.size).sum();
        outputs.fill(out, |file| {
            let mut sink = Counted(FileSink::new(file, &self.out), progress("decrypting", memory));
            let written = match self.format {
                Format::Elf => dump.write_elf(&mut sink),
                Format::Raw => dump.write_raw(&mut sink),
            };
            sink.1.finish_and_clear();
            sink.0.finish(written.map(drop).map_err(|error| failure(&self.dump, &error)))
        })?;
        let told = format!("{}: {memory} bytes of memory, {} CPUs", self.out.display(), dump.cpus().len());
        outputs.commit(|| print(&told))?;
        Ok(ExitCode::SUCCESS)
    }
}
