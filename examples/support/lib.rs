//! What the example programs share: files without surprises, events, exit status,
//! random numbers, and the keys that several programs take.
//!
//! This package exists to own `examples/` and `tests/`; nothing in it is part of the libraries.

pub mod esmb;
pub mod exit;
pub mod files;
pub mod logging;
pub mod one_vm;
pub mod output;
pub mod outputs;
pub mod pem;
pub mod power_boot;
pub mod power_paging;
pub mod programs;
pub mod random;
pub mod s390_attest;
pub mod s390_dump;
pub mod s390_guest;
pub mod s390_keys;
pub mod s390_secret;
pub mod s390_vm;

pub use exit::{Failure, run};
