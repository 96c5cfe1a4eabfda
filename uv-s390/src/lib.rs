//! IBM Z Secure Execution: Ultravisor calls, DIAG 308, SE images, dumps, attestation, secrets.
#![no_std]
#![deny(clippy::std_instead_of_core, clippy::std_instead_of_alloc, clippy::alloc_instead_of_core)]

extern crate alloc;

pub mod abi;
#[cfg(feature = "image")]
pub mod attest;
#[cfg(feature = "image")]
pub mod crypto;
pub mod diag308;
#[cfg(feature = "image")]
pub mod dump;
#[cfg(feature = "image")]
pub mod guestkernel;
pub mod header;
pub mod host;
#[cfg(feature = "image")]
pub mod hostkey;
#[cfg(feature = "image")]
pub mod image;
pub mod ipib;
pub mod ipl;
pub mod kvm;
pub mod psw;
#[cfg(feature = "image")]
pub mod request;
#[cfg(feature = "image")]
pub mod secret;
pub mod sie;
#[cfg(feature = "sim")]
pub mod sim;
pub mod sysfs;
pub mod uvc;
#[cfg(feature = "image")]
pub mod uvdevice;
#[cfg(feature = "sim")]
pub mod wrap;
