//! The VMM's sequences around protection: what QEMU does behind DIAG 308.
//!
//! Who uses it: a VMM, behind a DIAG 308 of its guest and behind a reset from outside.
//!
//! | file | job |
//! |---|---|
//! | `start` | subcode 10: from an ordinary to a protected VM, step by step, with the way back from each step |
//! | `unprotect` | out of protection, at once or set aside |
//! | `reset` | subcodes 0, 1, 3 and the reset from outside |
//! | `devices` | what the sequences want from the rest of the VMM |
//! | `meaning` | what a failure means for the guest's owner |
//! | `error` | where a start failed, and the guest's response |
//!
//! Everything goes through [`KvmPv`](crate::hypervisor::uapi::KvmPv), so it drives a real kernel as well.
//!
//! Source: s390-ultravisor §5.4, §5.5.

mod devices;
mod error;
mod meaning;
mod reset;
mod start;
mod unprotect;

pub use devices::{Devices, NoDevices, Refused};
pub use error::{StartError, StartStep};
pub use reset::{AfterReset, ResetError, external_reset, reset};
pub use start::{IplOptions, Started, start, start_with};
pub use unprotect::{Unprotected, unprotect};
