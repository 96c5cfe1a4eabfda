//! The ELF file that holds a protected dump (s390-formats §7.1, §7.6; s390-ultravisor §8.4): what both who writes and who reads
//! it need.
//!
//! Who uses it: as the module above it.
//!
//! [`DumpWriter`] puts notes, memory as exported, storage state and completion data into a file and needs no key. Reading is
//! the owner's: `owner::dump::elf` (feature `owner`). Memory is streamed, never held as a whole.

mod error;
mod io;
mod notes;
mod writer;

pub use error::DumpFileError;
pub use io::{DumpSink, DumpSource, OutOfRange};
pub use notes::{NT_S390_PV_CPU_DATA, append_cpu_notes, append_note, ordinary_notes};
pub use writer::{DumpWriter, PvSizes, ordinary_headers};

/// Guest memory in a dump file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryBlock {
    /// Guest absolute address.
    pub address: u64,
    /// Bytes; a whole number of pages.
    pub size: u64,
}
