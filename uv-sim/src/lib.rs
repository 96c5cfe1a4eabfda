//! A simulated secure-memory engine: real page cryptography, real isolation rules, scripted guests.
//!
//! The engine knows pages, owners, states, sealing, sharing and wiping. It knows no machine: no return code, no control
//! block and no register of IBM Z or POWER appears here. The ultravisor halves of `uv-s390` and `uv-power` are built on it;
//! a hypervisor never sees it.
//!
//! | part | job |
//! |---|---|
//! | [`Engine`] | the machine's secure frames and its VMs |
//! | [`SecureSpace`] | the secure memory of one VM: page states and every move between them |
//! | [`HostMemory`] | the hypervisor's normal memory as a buffer |
//! | [`seal`] | sealing of pages: the suites, over the ciphers of `uv-crypto` |
//! | [`guest`] | virtual CPUs with a script |
//! | [`bare`] | the engine alone as a backend of `uv-core`, without any machine's calls |
//! | [`wrap`] | wrappers that disturb or record what passes through |
//! | [`rng`] | seeded randomness: everything can be repeated from one number |
//!
//! A page costs 8 bytes of table once it was touched, 24 more while it is sealed, and its frame and 8 while it is secure.
#![no_std]
#![deny(clippy::std_instead_of_core, clippy::std_instead_of_alloc, clippy::alloc_instead_of_core)]

extern crate alloc;

pub mod bare;
mod engine;
mod fault;
pub mod guest;
mod memory;
mod pool;
mod record;
pub mod rng;
pub mod seal;
mod space;
mod sync;
mod table;
#[cfg(test)]
#[path = "table/tests.rs"]
mod table_tests;
pub mod wrap;

pub use engine::{Engine, EngineConfig};
pub use fault::{GuestFault, SpaceError};
pub use memory::HostMemory;
pub use space::{Content, OwnerId, SecureSpace};
pub use table::Label;
