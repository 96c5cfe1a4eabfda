//! A reference model of a machine: maps and enums, small, slow, written from `docs/machines/` and without a line of the machine's
//! code; and an adversary, who makes random calls, as hostile hypervisor and as hostile guest, on machine and model, and looks for a
//! disagreement in code, state or content.
//!
//! Calls name things by small numbers (VM 0, CPU 1, page 5), so that a sequence means something when calls are taken out of it: that
//! is how one that ends in a disagreement is made short.

mod adversary;
pub mod s390;

pub use adversary::{Adversary, Disagreement, Machine, Run, Seed};
