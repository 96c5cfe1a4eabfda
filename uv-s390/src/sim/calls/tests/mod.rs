//! Tests that need more than one call.

mod boot;
mod random;
mod threads;
