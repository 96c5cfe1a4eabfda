//! Traits and vocabulary that every ultravisor shares.
//!
//! An *ultravisor* is firmware below the hypervisor that keeps a virtual machine's memory secret from it. IBM Z
//! (Secure Execution) and POWER (Protected Execution Facility) have one each, with nothing in common on the wire.
//! What a hypervisor does with them is common to both, and that is what stands here:
//!
//! | job | trait |
//! |---|---|
//! | know and end a secure VM | [`SecureVm`] |
//! | take a VM into secure mode when its guest asks | [`EnterSecureMode`] |
//! | give a page to the guest (again) | [`PageIn`] |
//! | run a virtual CPU until somebody has to act | [`Vcpu`] |
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
//! # Normal memory
//! It is the caller's: whatever is [`NormalMemory`]. With the feature `vm-memory` (which needs std) that is also what a VMM on rust-vmm
//! keeps its guests' memory in, behind `VmMemory`.
//!
//! # A hypervisor
//! Every exit is served; `serve` has the exits that only one machine has. The example `one_hypervisor` runs this function on
//! all machines.
//!
//! ```
//! use uv_core::{EnterSecureMode, Error, ErrorKind, Exit, PageIn, SecureVm, Unsupported, Vcpu};
//!
//! /// Runs a VM until its guest halts, then ends it; gives how often the guest became secure.
//! fn supervise<V: EnterSecureMode + PageIn>(
//!     vm: &V,
//!     cpu: &mut V::Cpu,
//!     mut serve: impl FnMut(&mut V::Cpu, <V::Cpu as Vcpu>::Arch) -> Result<(), V::Error>,
//! ) -> Result<u32, V::Error> {
//!     let mut entered = 0;
//!     loop {
//!         match cpu.run()? {
//!             // The guest wants to be secure. After a refusal it goes on as a normal guest, and may ask again.
//!             Exit::EnterSecureMode => entered += u32::from(vm.enter_secure_mode(cpu).is_ok()),
//!             Exit::EnterAborted => vm.terminate()?,
//!             // What is only busy comes in when the guest faults again.
//!             Exit::PageMissing { gfn, .. } => match vm.page_in(gfn) {
//!                 Err(error) if error.kind() == ErrorKind::Exhausted => make_room(vm, error)?,
//!                 Err(error) if error.kind() != ErrorKind::Busy => return Err(error),
//!                 _ => {}
//!             },
//!             // Not accepting would refuse.
//!             Exit::ShareRequest { pages, share } => {
//!                 let sharing = vm.as_accept_sharing().ok_or(Unsupported)?;
//!                 sharing.accept_sharing(pages, share).map_err(|stopped| stopped.error)?;
//!             }
//!             Exit::Halted => return vm.terminate().map(|()| entered),
//!             Exit::Arch(exit) => serve(cpu, exit)?,
//!             // An exit that this hypervisor is too old for.
//!             _ => return Err(Unsupported.into()),
//!         }
//!     }
//! }
//!
//! /// Takes every page away that the machine gives: the guest faults on what it needs.
//! fn make_room<V: SecureVm>(vm: &V, full: V::Error) -> Result<(), V::Error> {
//!     let Some(out) = vm.as_page_out() else { return Err(full) };
//!     for (_, slot) in vm.mem_slots().iter() {
//!         out.page_out_range(slot.range()).map_err(|stopped| stopped.error)?;
//!     }
//!     Ok(())
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
