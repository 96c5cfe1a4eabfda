//! The hypervisor, in two levels: the host's [`kernel`] makes the calls; the VMM ([`vmm`]) runs the sequences, through the
//! kernel's user API ([`uapi`]). The kernel knows neither of the other two.
//!
//! Who uses it: a hypervisor: its kernel, its VMM, or both.

pub mod kernel;
mod storage;
pub mod uapi;
pub mod vmm;

pub use storage::GuestStorage;
