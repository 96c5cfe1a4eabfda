//! Tests that need more than one call.

mod boot;
mod random;
mod threads;
mod wrong_state;
