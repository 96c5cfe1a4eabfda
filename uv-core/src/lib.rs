//! Traits and vocabulary that every ultravisor shares.
//!
//! An *ultravisor* is firmware below the hypervisor that keeps a virtual machine's memory secret from it. IBM Z
//! (Secure Execution) and POWER (Protected Execution Facility) have one each, with nothing in common on the wire.
//! What a hypervisor does with them is common to both, and that is what stands here:
//!
//! | job | trait | who calls it |
//! |---|---|---|
//! | know and end a secure VM | [`SecureVm`] | whoever has the VM, from any thread |
//! | take a VM into secure mode when its guest asks | [`EnterSecureMode`] | the thread of the virtual CPU that asked |
//! | give a page to the guest (again) | [`PageIn`] | whoever serves [`Exit::PageMissing`] |
//! | run a virtual CPU until somebody has to act | [`Vcpu`] | the thread of the virtual CPU |
//!
//! Abilities that a machine may lack are sub-traits, reached through an `Option`:
//!
//! | ability | trait | reached by | IBM Z | POWER |
//! |---|---|---|---|---|
//! | take a page away, sealed | [`PageOut`] | [`SecureVm::as_page_out`] | yes | yes |
//! | take back the memory behind a shared page | [`SharePages`] | [`SecureVm::as_share_pages`] | yes | yes |
//! | give up a page and its content | [`DestroyPages`] | [`SecureVm::as_destroy_pages`] | yes | no |
//! | do what a guest asks for that cannot share alone | [`AcceptSharing`] | [`SecureVm::as_accept_sharing`] | no | no |
//!
//! Three parties are kept apart everywhere: the *guest*, the *hypervisor* (who imports this crate and is not
//! trusted), the *ultravisor* (trusted). No type in this crate can hold a key or the plaintext of a secure page.
//!
//! | vocabulary | who uses it | what |
//! |---|---|---|
//! | [`Gfn`], [`GuestAddr`], [`HostAddr`], [`PageRange`], [`PageSize`] | everybody | addresses and pages of each kind, not to be confused |
//! | [`MemSlots`] | hypervisors; backends tell theirs | which host memory stands behind which guest pages |
//! | [`NormalMemory`] | the VMM implements it; backends read and write through it | the hypervisor's own memory |
//! | [`PageState`], [`PageCounts`], [`VmState`], [`Exit`] | hypervisors | where a page, a VM, a virtual CPU stands |
//! | [`Error`], [`ErrorKind`], [`RangeError`], [`Unsupported`] | hypervisors of any machine | what can be done about a failure; the machine's own code stays inside |
//! | [`check_range`], [`check_in_slots`], [`check_aligned`] | backends | arguments of page calls, refused in the same way everywhere |
//!
//! # A hypervisor
//! Every exit is served; `serve` has the exits that only one machine has. `uv-sim` runs this very text on its engine, and the
//! example `one_hypervisor` is the longer form that runs on all machines.
//!
//! ```
#![doc = include_str!("../doc/supervise.rs")]
//! ```
//!
//! # Features
//! The crate needs `alloc` and nothing else, so every feature is off by default.
//!
//! | feature | what comes with it |
//! |---|---|
//! | `vm-memory` | `VmMemory`: the normal memory of a VMM that keeps it in rust-vmm's `vm-memory`; needs `std` |
#![cfg_attr(docsrs, feature(doc_cfg))]
#![no_std]
#![deny(clippy::std_instead_of_core, clippy::std_instead_of_alloc, clippy::alloc_instead_of_core)]

extern crate alloc;

mod addr;
mod check;
mod error;
mod memory;
mod memslot;
mod paging;
mod share;
mod state;
mod through;
mod vcpu;
mod vm;
#[cfg(feature = "vm-memory")]
mod vm_memory;

pub use addr::{Gfn, GuestAddr, HostAddr, PageRange, PageSize};
pub use check::{ArgumentError, check_aligned, check_in_slots, check_range};
pub use error::{Error, ErrorKind, ErrorType, RangeError, Unsupported};
pub use memory::{AccessError, NormalMemory};
pub use memslot::{MemSlot, MemSlots, SlotError, SlotId};
pub use paging::{DestroyPages, PageIn, PageOut};
pub use share::{AcceptSharing, SharePages};
pub use state::{PageCounts, PageState, VmState};
pub use vcpu::{Access, Exit, Vcpu};
pub use vm::{EnterSecureMode, SecureVm};
#[cfg(feature = "vm-memory")]
pub use vm_memory::VmMemory;
