//! Traits and vocabulary that every ultravisor shares.
//!
//! An *ultravisor* is firmware below the hypervisor that keeps a virtual machine's memory secret from it. IBM Z
//! (Secure Execution) and POWER (Protected Execution Facility) have one each, with nothing in common on the wire.
//! What a hypervisor does with them is the same all the same, and that is what stands here:
//!
//! | job | trait |
//! |---|---|
//! | know and end a secure VM | [`SecureVm`] |
//! | take a VM into secure mode, or refuse it | [`EnterSecureMode`] |
//! | give a page to the guest (again) | [`PageIn`] |
//! | take a page away, sealed | [`PageOut`] |
//! | see which pages the guest shares, take back the page behind one | [`SharePages`] |
//! | run a virtual CPU until somebody has to act | [`Vcpu`] |
//!
//! Abilities that only some machines have are sub-traits reached through an `Option`, for example
//! [`SecureVm::destroy_pages`].
//!
//! Three parties are kept apart everywhere: the *guest*, the *hypervisor* (who imports this crate and is not
//! trusted), the *ultravisor* (trusted). No type in this crate can hold a key or the plaintext of a secure page.
//!
//! ```
//! use uv_core::{Exit, PageIn, Vcpu};
//!
//! /// The loop every hypervisor has: run, serve, resume.
//! fn run_until_halt<M, C, A>(vm: &M, cpu: &mut C) -> Result<u32, M::Error>
//! where
//!     M: PageIn,
//!     C: Vcpu<Arch = A, Error = M::Error>,
//! {
//!     let mut faults = 0;
//!     loop {
//!         match cpu.run()? {
//!             Exit::PageMissing { gfn, .. } => {
//!                 vm.page_in(gfn)?;
//!                 faults += 1;
//!             }
//!             Exit::Halted => return Ok(faults),
//!             _ => {}
//!         }
//!     }
//! }
//! ```
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
mod vcpu;
mod vm;

pub use addr::{Gfn, GuestAddr, HostAddr, PageRange, PageSize};
pub use check::{ArgumentError, check_aligned, check_in_slots, check_range};
pub use error::{Error, ErrorKind, ErrorType, RangeError};
pub use memory::{AccessError, NormalMemory};
pub use memslot::{MemSlot, MemSlots, SlotError, SlotId};
pub use paging::{DestroyPages, PageIn, PageOut};
pub use share::SharePages;
pub use state::{PageCounts, PageState, VmState};
pub use vcpu::{Access, Exit, Vcpu};
pub use vm::{EnterSecureMode, SecureVm};
