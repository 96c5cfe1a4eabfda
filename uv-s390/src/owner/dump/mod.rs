//! Dumps of protected guests: what the Ultravisor writes, and how the owner reads it (s390-formats §7,
//! s390-ultravisor §8).
//!
//! Who uses it: who may read a dump, and the Ultravisor, which seals it.
//!
//! The Ultravisor delivers three things. [`CompletionBlock`] (once) carries the seed of the [`DumpKey`] and, sealed with
//! it, the key of the memory pages. [`CpuNote`] (for each CPU) carries the registers, sealed with the dump key.
//! [`StorageState`](crate::abi::dump::StorageState) (16 bytes for each page) says how to read a page: encrypted, zero or shared. The dump key needs the
//! customer communication key ([`Cck`](crate::owner::crypto::Cck)), so only the guest owner can make it.
//!
//! [`elf`] is the file in which all this travels; [`hypervisor::vmm::dump`](crate::hypervisor::vmm::dump) is what a hypervisor does to write it.
//!
//! Pages are not authenticated: a changed ciphertext page decrypts to noise without an error.

mod completion;
mod cpu_area;
mod cpu_note;
pub mod elf;
mod key;
mod memory;

#[cfg(test)]
mod tests;

pub use completion::{COMPLETION_SIZE, CompletionBlock, CompletionSecrets};
pub use cpu_area::DumpCpuFlags;
pub use cpu_note::{CPU_NOTE_SIZE, CpuNote};
pub use key::DumpKey;
pub use memory::{DUMP_PAGE_SIZE, DumpMemoryKey};
