//! Sharing pages and taking them back, step by step (power-pef §15); the ultravisor's own buffers.

pub(crate) mod buffer;
mod share;
pub(crate) mod step;
mod unshare;
