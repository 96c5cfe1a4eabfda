//! The VMM: what QEMU does in user space for a guest that becomes protected.
//!
//! | part | job |
//! |---|---|
//! | [`diag308`] | the instruction with which a guest resets itself, names what to load, and asks to be protected |
//! | [`boot`] | both together: an image goes into guest memory, and its DIAG 308 are carried out |
//! | [`ipl`] | the sequences behind it: start, reset, way back |
//! | [`VmmVcpu`] | a virtual CPU whose DIAG 308 is served, and the start that it asks for |
//! | [`dump`] | the sequence that writes a dump of a protected guest |

pub mod boot;
pub mod diag308;
pub mod dump;
mod enter;
pub mod ipl;

pub use enter::VmmVcpu;
