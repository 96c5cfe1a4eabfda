//! Inside a protected guest: its kernel, and the programs that use its kernel.
//!
//! | part | job |
//! |---|---|
//! | [`kernel`] | secrets for the kernel itself: metadata of an id, the value of a secret |
//! | [`uvdevice`] | `/dev/uv`: attestation and secrets for programs |
//! | [`sysfs`] | `/sys/firmware/uv` |

pub mod kernel;
pub mod sysfs;
pub mod uvdevice;
