//! Inside a protected guest: its kernel, and the programs that use its kernel.
//!
//! | part | job |
//! |---|---|
//! | [`uvdevice`] | `/dev/uv`: attestation and secrets for programs |
//! | [`sysfs`] | `/sys/firmware/uv` |

pub mod sysfs;
pub mod uvdevice;
