//! Machines for programs that know only the core traits.

pub mod one_vm;
