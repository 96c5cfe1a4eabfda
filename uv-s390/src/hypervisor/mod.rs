//! The hypervisor, in two levels: the host's [`kernel`] makes the calls; the VMM ([`vmm`]) runs the sequences, through the
//! kernel's user API ([`uapi`]). The kernel knows neither of the other two.

pub mod kernel;
mod storage;
pub mod uapi;
pub mod vmm;

pub use storage::GuestStorage;
