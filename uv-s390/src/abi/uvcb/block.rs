//! What all control blocks have in common.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::header::UvcbHeader;

/// A control block with a header: every layout of [`abi`](crate::abi::uvcb).
pub trait Block: FromBytes + IntoBytes + Immutable + KnownLayout {
    /// Bytes of the block; of the longest one where they differ.
    const LEN: u16;

    /// The header, the first 8 bytes.
    fn header(&self) -> &UvcbHeader;
}
