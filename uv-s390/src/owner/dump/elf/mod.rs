//! Reading the ELF file that holds a protected dump (s390-formats §7.1, §7.6; s390-ultravisor §8.4).
//!
//! Who uses it: who may read a dump.
//!
//! [`DumpReader`] finds the parts that a [`DumpWriter`](crate::abi::dump::elf::DumpWriter) has put into the file; [`DecryptedDump`]
//! gives plain memory or an ordinary dump. Memory is streamed, never held as a whole.
//!
//! ```
//! use uv_s390::abi::dump::StorageState;
//! use uv_s390::abi::dump::elf::{DumpWriter, MemoryBlock, PvSizes};
//! use uv_s390::owner::crypto::{Cck, PageKey};
//! use uv_s390::owner::dump::elf::*;
//! use uv_s390::owner::dump::*;
//! use zerocopy::IntoBytes;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // What the Ultravisor would deliver: one shared page, completion data.
//! let cck = Cck::new([1; 32]);
//! let secrets = CompletionSecrets { nonce: [2; 16], memory_key: PageKey::new([3; 64]) };
//! let completion = CompletionBlock::seal(&cck, [4; 64], [5; 12], &secrets);
//! let entry = StorageState::Shared { mapped: true }.encode();
//!
//! // The hypervisor writes the file.
//! let blocks = [MemoryBlock { address: 0, size: 4096 }];
//! let sizes = PvSizes { storage_state: 16, completion: 288 };
//! let mut writer = DumpWriter::begin(Vec::new(), &[], &blocks, Some(sizes))?;
//! writer.memory(&[0x42; 4096])?;
//! writer.storage_state(&entry)?;
//! writer.completion(completion.as_bytes())?;
//! let file = writer.finish()?;
//!
//! // The owner reads it.
//! let dump = DecryptedDump::open(DumpReader::open(file.as_slice())?, &cck)?;
//! let mut memory = Vec::new();
//! dump.write_raw(&mut memory)?;
//! assert_eq!(memory, [0x42; 4096]);
//! # Ok(())
//! # }
//! ```

mod decrypt;
mod reader;

#[cfg(test)]
mod tests;

pub use decrypt::{DecryptedDump, DumpPageCounts};
pub use reader::DumpReader;
