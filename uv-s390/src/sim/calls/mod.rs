//! The calls: one file for each, in a folder for each family.
//!
//! Every file tells its checks in a table, in the order in which they are made; the code makes them in that order. The
//! checks that all calls share come before and stand in `dispatch`. Which file answers which command stands in
//! `abi/uvcb/table.rs`; a handler that no row names does not compile.

#![deny(dead_code, unused_imports)]

pub(super) mod attest;
pub(super) mod conf;
pub(super) mod cpu;
pub(super) mod dump;
pub(super) mod image;
pub(super) mod init;
pub(super) mod query;
pub(super) mod secret;
pub(super) mod share;
pub(super) mod storage;

#[cfg(test)]
pub(super) mod test_count;
#[cfg(test)]
pub(super) mod tests;
