//! The simulated ultravisors for C: what `uvsim.h` declares.
//!
//! | file | job |
//! |---|---|
//! | `status` | status codes, the text of the last failure |
//! | `handle` | handles: numbers that are never used twice |
//! | `guard` | no panic crosses the border |
//! | `raw` | what comes as a pointer, checked as far as it can be |
//! | `memory` | the caller's memory, by pointer or by callbacks |
//! | `z` | IBM Z: a machine for a host, an emulated guest |
//! | `power` | POWER: ultracalls on a register file |
//!
//! Every function may be called from any thread. Unsafe code is here and in no library below; each block says why it may
//! do what it does, on the promise that the header asks of the caller.
#![allow(non_camel_case_types, reason = "the names are those of the C interface")]

mod guard;
mod raw;

// In the order in which the header tells them.
pub mod status;

mod handle;

mod memory;

pub mod z;

pub mod power;

pub use handle::uvsim_close;
pub use memory::uvsim_memory;

/// A machine or a guest. Never 0. A number of something that was closed is refused, not followed.
pub type uvsim_handle = u64;

/// Version of this interface. Configurations carry it; a library of another version refuses them.
pub const UVSIM_ABI_VERSION: u32 = 1;

/// The version of the interface that the library has: UVSIM_ABI_VERSION of the header it was built with.
#[unsafe(no_mangle)]
pub extern "C" fn uvsim_abi_version() -> u32 {
    UVSIM_ABI_VERSION
}
