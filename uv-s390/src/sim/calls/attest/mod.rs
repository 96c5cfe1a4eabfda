//! Attestation.

mod retrieve;

pub(in crate::sim) use retrieve::retrieve;
