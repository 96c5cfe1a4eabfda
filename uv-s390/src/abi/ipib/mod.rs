//! The IPL parameter information block (IPIB) that a guest hands to DIAG 308.
//!
//! Who uses it: the boot loader, which fills it, the VMM, which follows it, and who builds images.
//!
//! Only block type 5 (protected virtualization) is described in full: it names the SE header and the
//! components of an image in guest memory. For the other block types the minimum lengths are here,
//! because DIAG 308 subcode 5 needs them. Nothing in this module decides what a machine answers; it
//! gives the values that the checks need, and the order of the checks belongs to DIAG 308.
//!
//! Sources: s390-formats §4.4 and §6, s390-ultravisor §5.2 and §5.3.

mod build;
mod layout;
mod view;

pub use build::{IpibError, IpibForm, build};
pub use layout::{BlockType, Component, Fixed};
pub use view::IpibView;

/// Most bytes that an IPIB may have (one page); a larger length field is refused by DIAG 308.
pub const MAX_LENGTH: u32 = 4096;

/// Version byte of the IPIB header that image builders write.
pub const VERSION: u8 = 1;

/// Bytes of the IPIB header, which the total length counts and the block length does not.
pub const HEADER_LENGTH: u32 = 8;

/// Most components that fit into one IPIB of [`MAX_LENGTH`] bytes.
pub const MAX_COMPONENTS: usize = 165;

/// Largest SE header, in bytes, that DIAG 308 subcode 8 takes (s390-ultravisor §5.3, check 8).
pub const MAX_SE_HEADER_LENGTH: u64 = 8192;

/// Block flag: the load parameter field is valid.
pub const BLOCK_FLAG_LOADPARM_VALID: u8 = 0x80;

/// Header flag: secure IPL. Zero for a protected guest.
pub const HEADER_FLAG_SECURE_IPL: u8 = 0x40;

/// Header flag: an IPL report is present. Zero for a protected guest.
pub const HEADER_FLAG_IPL_REPORT: u8 = 0x20;
