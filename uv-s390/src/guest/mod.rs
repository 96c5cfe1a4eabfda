//! Inside the guest: the loader that asks for protection, the protected guest's kernel, and the programs that use its kernel.
//!
//! Who uses it: the parts of a guest, each its own module.
//!
//! | part | job |
//! |---|---|
//! | [`stage3a`] | the boot loader, before protection: finds SE header and IPIB, asks to be protected |
//! | [`kernel`] | secrets for the kernel itself: metadata of an id, the value of a secret |
//! | [`uvdevice`] | `/dev/uv`: attestation and secrets for programs |
//! | [`sysfs`] | `/sys/firmware/uv` |

pub mod kernel;
pub mod stage3a;
pub mod sysfs;
pub mod uvdevice;
