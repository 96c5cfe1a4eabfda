//! What the ultravisor knows of the RTAS of a VM (power-pef §9).

use uv_core::GuestAddr;

use super::tokens::Tokens;

/// What the ultravisor knows of the RTAS of a VM.
#[derive(Debug, Clone)]
pub(crate) struct Rtas {
    pub(crate) tokens: Tokens,
    /// Where the code lies.
    pub(crate) base: u64,
    /// Bytes of the whole area.
    pub(crate) size: u64,
    /// Bytes of the code.
    pub(crate) code: u64,
    /// The page for arguments of the ultravisor's own calls.
    pub(crate) args: GuestAddr,
    /// The first of 64 bounce blocks.
    pub(crate) bounce: GuestAddr,
    /// The page with one slot of 16 bytes for each virtual CPU that stops itself.
    pub(crate) stop_self: GuestAddr,
    /// Bounce blocks in use, one bit each.
    pub(crate) in_use: u64,
    /// Registered machine check address.
    pub(crate) machine_check: Option<u64>,
}

impl Rtas {
    pub(crate) const fn new(tokens: Tokens, args: GuestAddr, bounce: GuestAddr, stop_self: GuestAddr) -> Self {
        Self { tokens, base: 0, size: 0, code: 0, args, bounce, stop_self, in_use: 0, machine_check: None }
    }

    pub(crate) const fn set_area(&mut self, base: u64, size: u64, code: u64) {
        self.base = base;
        self.size = size;
        self.code = code;
    }
}
