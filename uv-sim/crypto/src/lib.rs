//! Page cryptography: the one place where pages are ciphered, authenticated and digested.
//!
//! Everything here works on *ranges* of pages; a single page is a range of one. Key schedules are built once
//! per key object and kept; no function of this module allocates per page or per call: temporaries are batches
//! of fixed size on the stack, wiped before return when they held plaintext or keystream.
//!
//! | module | what it holds | who uses it |
//! |---|---|---|
//! | [`xts`] | AES-256-XTS, one page = one data unit | the engine, images, dumps |
//! | [`ccm`] | AES-256-CCM, up to [`BATCH`] pages side by side | the engine |
//! | [`gcm`] | AES-128-GCM and AES-256-GCM of pages, detached tag; AES-GCM of messages of any length | the engine, owners' documents |
//! | [`mac`] | tags of pages: AES-256 over POLYVAL | the engine |
//! | [`digest`] | SHA-256 over several parts, SHA-512 over many, comparison in constant time | the engine, images |
//! | [`error`] | what a call refuses, and which pages of a batch failed | whoever calls |
//!
//! Where the processor has VAES and AVX-512, XTS, CCM and the tags run in the kernels of `uv-kernels`; else, and for lengths those do not
//! take, over the `aes` and `polyval` crates.
//!
//! Both the owner's tools (images, dumps) and the page engine build on it.
//!
//! A page is any byte slice whose length is a positive multiple of 16 bytes (4 KiB and 64 KiB in practice).
//! Source and destination of a copying form never overlap (they are separate slices) and have equal length; the
//! copying forms read each source byte once and write each destination byte once.
//!
//! # Two pages in one call
//!
//! ```
//! use uv_crypto::{CcmKey, TAG_BYTES};
//!
//! let key = CcmKey::new(&[7; 32]);
//! let pages = [[0x11_u8; 4096], [0x22; 4096]];
//! // A nonce of its own for each page, and what the tag binds it to.
//! let (nonces, bound) = ([[1; 12], [2; 12]], [3_u64.to_be_bytes(), 4_u64.to_be_bytes()]);
//! let (mut sealed, mut tags) = ([[0; 4096]; 2], [[0; TAG_BYTES]; 2]);
//! let [first, second] = &mut sealed;
//! key.seal_pages(&nonces, &bound, &[&pages[0], &pages[1]], &mut [first, second], &mut tags)?;
//!
//! // One byte of the second page is changed on the way: it alone does not open, and nothing of it is given.
//! sealed[1][9] ^= 1;
//! let mut opened = [[0xee; 4096]; 2];
//! let [first, second] = &mut opened;
//! let failed = key.open_pages(&nonces, &bound, &[&sealed[0], &sealed[1]], &mut [first, second], &tags)?;
//! assert_eq!(failed.iter().collect::<Vec<_>>(), [1]);
//! assert_eq!(opened, [[0x11; 4096], [0; 4096]]);
//! # Ok::<(), uv_crypto::CryptoError>(())
//! ```
//!
//! # Features
//! None: the crate needs no allocator and no operating system.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![no_std]
#![deny(clippy::std_instead_of_core, clippy::std_instead_of_alloc, clippy::alloc_instead_of_core)]

#[cfg(test)]
extern crate alloc;

mod block;
pub mod ccm;
#[cfg(test)]
mod counting;
pub mod digest;
pub mod error;
pub mod gcm;
pub mod mac;
pub mod xts;

pub use ccm::CcmKey;
pub use error::{BadPage, CryptoError, FailedPages};
pub use gcm::{Gcm128Key, Gcm256Key};
pub use mac::MacKey;
pub use xts::XtsKey;

/// Pages in one batch: the most a slice-of-slices call takes at once (32).
///
/// Keys, tweaks and nonces of one call are set up once for all its pages. More pages at once bring nothing, fewer than 8
/// bring less.
pub const BATCH: usize = 32;

/// Bytes of one cipher block (16).
pub const BLOCK_BYTES: usize = 16;

/// Bytes of an authentication tag of CCM and GCM (16).
pub const TAG_BYTES: usize = 16;
