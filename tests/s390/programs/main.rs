//! The programs on IBM Z, run as a user runs them or subcommand by subcommand.

mod attest;
mod boot;
mod dump;
mod image;
mod owner;
mod secret;
