//! The engine alone as a backend of `uv-core`: an ultravisor without a machine.
//!
//! For generic hypervisor code that wants a secure VM in a test and does not care whose calls are made, and for the
//! conformance suite: what holds here and on both machines is a rule of `uv-core`. Entering secure mode takes over a list
//! of plain pages; sealing is AES-256-CCM.

#[cfg(test)]
mod tests;
mod vcpu;
mod vm;

pub use vcpu::{BareCall, BareVcpu};
pub use vm::{BareError, BareVm, Image};
