//! What the example programs share: reading and writing files without surprises, and the exit status of a program.
//!
//! This package exists to own `examples/` and `tests/`; nothing in it is part of the libraries.

pub mod exit;
pub mod files;

pub use exit::{Failure, run};
