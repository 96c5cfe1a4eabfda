//! The machines of this workspace as backends of the conformance suite, each bare and behind every wrapper, and wrong ones that the
//! suite must catch.

pub mod backends;
pub mod engine;
pub mod memory;
pub mod power;
pub mod s390;
mod tasks;
pub mod wrapped;
pub mod wrong;
