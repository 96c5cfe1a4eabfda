//! The ELF file that holds a protected dump (s390-formats §7.1, §7.6; s390-ultravisor §8.4).
//!
//! [`DumpWriter`] is the hypervisor's side: it puts notes, memory as exported, storage state and completion data into a
//! file and needs no key. [`DumpReader`] finds these parts again; [`DecryptedDump`] is the guest owner's side and gives
//! plain memory or an ordinary dump. Memory is streamed, never held as a whole.

mod decrypt;
mod error;
mod io;
mod notes;
mod reader;
mod writer;

#[cfg(test)]
mod tests;

pub use decrypt::DecryptedDump;
pub use error::DumpFileError;
pub use io::{DumpSink, DumpSource, OutOfRange};
pub use notes::{NT_S390_PV_CPU_DATA, append_note};
pub use reader::{DumpReader, MemoryBlock};
pub use writer::{DumpWriter, PvSizes};
