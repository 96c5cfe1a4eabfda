//! The VMM: what QEMU does in user space for a guest that becomes protected.
//!
//! Who uses it: a VMM.
//!
//! | part | job |
//! |---|---|
//! | [`diag308`] | the instruction with which a guest resets itself, names what to load, and asks to be protected |
//! | [`boot`] | both together: an image goes into guest memory, and its DIAG 308 are carried out |
//! | [`ipl`] | the sequences behind it: start, reset, way back |
//! | [`VmmVm`], [`VmmVcpu`] | VM and virtual CPU: DIAG 308 is served, and the start that a guest asks for is carried out |
//! | [`dump`] | the sequence that writes a dump of a protected guest |

pub mod boot;
pub mod diag308;
pub mod dump;
mod error;
pub mod ipl;
mod vcpu;
mod vm;

pub use error::VmmError;
pub use vcpu::VmmVcpu;
pub use vm::VmmVm;
