//! IBM Z Secure Execution: Ultravisor calls, DIAG 308, SE images, dumps, attestation, secrets.
#![no_std]

extern crate alloc;

pub mod header;
pub mod ipib;
pub mod psw;
