//! The guest's `/dev/uv`: attestation and secrets for programs inside a protected guest, as values.
//!
//! Who uses it: the guest's kernel (the driver), on behalf of a program in the guest. An [`Ioctl`] is a number, the control
//! block and the memory that its addresses name; what comes back is an [`Errno`](crate::abi::Errno), or the ioctl with its output
//! filled in. Refusals of the Ultravisor are never errnos: they are in the control block's `uv_rc`.
//!
//! The driver is an [`Operation`] that says, one [`Step`] at a time, what the guest's kernel does: store into its own memory,
//! issue a UV call, load. So it runs in a scripted guest as well as over a [`UvCall`](crate::abi::uvc::UvCall) and a memory, with
//! [`Operation::run`].
//!
//! | nr | ioctl | file |
//! |---|---|---|
//! | 0 | UVDEV_INFO | `info` |
//! | 1 | ATTEST | `attest` |
//! | 2, 4 | ADD_SECRET, LOCK_SECRETS | `secrets` |
//! | 3 | LIST_SECRETS | `list` |
//! | 5 | RETR_SECRET | `retrieve` |
//!
//! Source: s390-ultravisor §9.

mod attest;
mod begin;
mod device;
mod info;
mod ioctl;
mod list;
mod operation;
mod retrieve;
mod secrets;
#[cfg(test)]
pub(crate) mod test_kernel;
#[cfg(test)]
mod tests;

pub use attest::AttestArgument;
pub use device::UvDevice;
pub use info::InfoArgument;
pub use ioctl::{Control, Ioctl, UvioNr, request};
pub use operation::{GuestKernel, Operation, Seen, Step};
