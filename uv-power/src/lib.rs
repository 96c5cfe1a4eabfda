//! POWER Protected Execution Facility (PEF).
//!
//! | module | what | feature |
//! |---|---|---|
//! | [`profile`] | which ultravisor is meant where documents and code disagree | - |
//! | [`differences`] | every such point, with what each profile does | - |
//! | [`codes`], [`numbers`], [`msr`], [`regs`] | the vocabulary of the machine: return codes, call numbers, registers | - |
//! | [`ultracall`], [`entry`] | the seams: one `sc 2`, one guest entry; typed calls on top | - |
//! | [`kvm`] | the hypervisor's side: what KVM does with the calls, page by page | - |
//! | [`sim`] | the ultravisor's side: a simulated machine | `sim` |
//! | [`esm`] | ESM blobs: the guest owner's side and the checks an ultravisor makes | `esm` |
#![no_std]
#![deny(clippy::std_instead_of_core, clippy::std_instead_of_alloc, clippy::alloc_instead_of_core)]

extern crate alloc;

pub mod codes;
pub mod differences;
pub mod entry;
#[cfg(feature = "esm")]
pub mod esm;
pub mod kvm;
pub mod msr;
pub mod numbers;
pub mod profile;
pub mod regs;
#[cfg(feature = "sim")]
pub mod sim;
pub mod ultracall;

pub use codes::{HvCode, UvCode};
pub use entry::GuestEntry;
pub use msr::{Msr, Privilege};
pub use profile::Profile;
pub use regs::Regs;
pub use ultracall::{Ultracall, UvError};
