//! Vector kernels of the page ciphers: the only crate of the workspace with unsafe code.
//!
//! [`Xts`], [`Ccm`] and [`Polyval`] are made from a key **where the processor can run them** (VAES, VPCLMULQDQ and AVX-512 F,
//! BW and VL, looked for at run time) and not otherwise: `new` gives `None` then. Each has a safe twin in `uv-crypto`, over the
//! `aes` and `polyval` crates, which find AES-NI and other units by themselves and have a portable form; it takes what a kernel does
//! not: other processors, and pages that are no whole number of [`STRIDE`]s.
//!
//! No branch and no address depends on a key or on data. Keys are wiped on drop, and so is what holds plaintext.
//!
//! What is unsafe: reading and writing a vector through a reference to its bytes, and the call of functions compiled for the units
//! that were found. All else is checked as anywhere.

#![no_std]
#![deny(clippy::std_instead_of_core, clippy::std_instead_of_alloc, clippy::alloc_instead_of_core)]

use core::fmt;

use cipher::inout::InOutBuf;

#[cfg(not(target_arch = "x86_64"))]
mod none;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(not(target_arch = "x86_64"))]
pub use none::{Ccm, Polyval, Xts, sha512};
#[cfg(target_arch = "x86_64")]
pub use x86::{Ccm, Polyval, Xts, sha512};

/// Lengths that kernels take are multiples of this: 512 bytes.
pub const STRIDE: usize = 512;

/// Whether a kernel takes pages of this length.
#[must_use]
pub const fn takes(page_bytes: usize) -> bool {
    page_bytes > 0 && page_bytes.is_multiple_of(STRIDE)
}

/// Which way pages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Plaintext to ciphertext.
    Seal,
    /// Ciphertext to plaintext.
    Open,
}

/// A data unit of XTS on its way.
pub struct Unit<'i, 'o> {
    /// The tweak, ciphered.
    pub tweak: [u8; 16],
    /// Source and destination, or one buffer in place.
    pub bytes: InOutBuf<'i, 'o, u8>,
}

impl fmt::Debug for Unit<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unit").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

/// Pages for CCM: all of one length that [`takes`] allows, the lists as long as `src`.
pub struct CcmBatch<'a, 'b> {
    /// Sealing, the tags are over the source; opening, over the result.
    pub direction: Direction,
    /// Blocks in front of the payload, at least one: for each step one block a page.
    pub header: &'a [&'a [[u8; 16]]],
    /// Counter block 0 of each page; its last 3 bytes are zero.
    pub counters: &'a [[u8; 16]],
    /// What is read.
    pub src: &'a [&'a [u8]],
    /// What is written.
    pub dst: &'a mut [&'b mut [u8]],
    /// Receives the tag of each page.
    pub tags: &'a mut [[u8; 16]],
}

impl fmt::Debug for CcmBatch<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CcmBatch").field("pages", &self.src.len()).finish_non_exhaustive()
    }
}
