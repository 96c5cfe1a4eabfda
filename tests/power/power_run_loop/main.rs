//! The run loop of KVM's virtual CPUs, register by register, and what it makes of a transition that fails late.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod entering;
mod interrupts;
mod pages;
mod returns;
mod rig;
