//! A protected dump as it travels from the hypervisor to the owner: registers, storage state, and the file ([`elf`]).
//!
//! Who uses it: the VMM, which writes a dump, and the owner, who reads it.
//!
//! Source: s390-formats §7, s390-ultravisor §8.

mod cpu_state;
pub mod elf;
mod error;
mod storage;

pub use cpu_state::CpuState;
pub use error::{BlockError, StorageStateError};
pub use storage::{STORAGE_STATE_PER_MIB, STORAGE_STATE_SIZE, StorageState, TweakComponent};
