//! What the programs on IBM Z share, and their subcommands.

pub mod attest;
pub mod dump;
pub mod guest;
pub mod keys;
pub mod secret;
pub mod vm;
