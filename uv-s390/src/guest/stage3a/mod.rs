//! The boot loader of a Secure Execution image, which runs in the ordinary guest and asks for its protection.
//!
//! Who uses it: the boot code of a guest, and a VMM that boots an image without running that code.
//!
//! [`BootImage`] is what the loader knows: where in guest memory the SE header and the IPIB are. [`Loader`] is what it does,
//! one [`LoaderStep`] at a time: it stores address and size of the header in the IPIB, then issues DIAG 308 subcodes 8
//! and 10. Whoever carries out the steps is the VMM; see [`vmm::boot`](crate::hypervisor::vmm::boot).
//!
//! Source: s390-formats §4, s390-ultravisor §5.

mod image;
mod loader;

pub use image::{BootImage, BootImageError};
pub use loader::{Loader, LoaderStep};
