//! Placeholder.
#![no_std]

extern crate alloc;

#[cfg(feature = "image")]
pub mod attest;
#[cfg(feature = "image")]
pub mod crypto;
#[cfg(feature = "image")]
pub mod hostkey;
#[cfg(feature = "image")]
pub mod request;
