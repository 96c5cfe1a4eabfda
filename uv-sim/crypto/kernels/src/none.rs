//! Processors without kernels: none can be made.

use core::convert::Infallible;

use crate::{CcmBatch, Direction, Unit};

/// AES-256-XTS over data units whose tweaks are ciphered.
#[derive(Debug)]
pub struct Xts(Infallible);

impl Xts {
    /// None here.
    #[must_use]
    pub const fn new(_: &[u8; 32]) -> Option<Self> {
        None
    }

    /// Not reached.
    pub const fn run(&self, _: Direction, _: &mut [Unit<'_, '_>]) {
        match self.0 {}
    }
}

/// AES-256-CCM over pages side by side.
#[derive(Debug)]
pub struct Ccm(Infallible);

impl Ccm {
    /// None here.
    #[must_use]
    pub const fn new(_: &[u8; 32]) -> Option<Self> {
        None
    }

    /// Not reached.
    pub const fn run(&self, _: CcmBatch<'_, '_>) {
        match self.0 {}
    }
}

/// POLYVAL over whole strides.
#[derive(Debug)]
pub struct Polyval(Infallible);

impl Polyval {
    /// None here.
    #[must_use]
    pub const fn new(_: &[u8; 16]) -> Option<Self> {
        None
    }

    /// Not reached.
    #[must_use]
    pub const fn hash(&self, _: &[u8], _: &[u8; 16]) -> [u8; 16] {
        match self.0 {}
    }
}

/// Takes no block.
#[must_use]
pub const fn sha512(_: &mut [u64; 8], _: &[[u8; 128]]) -> bool {
    false
}
