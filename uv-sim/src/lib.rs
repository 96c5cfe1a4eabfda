//! Simulated secure-memory engine.
#![no_std]

extern crate alloc;

pub mod crypto;
pub mod rng;
