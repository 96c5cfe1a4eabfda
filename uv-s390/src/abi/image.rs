//! The metadata block of an image file.
//!
//! Who uses it: who builds images, and the boot loader in them.
//!
//! Source: s390-formats §4.1.

use core::mem::{offset_of, size_of};

use zerocopy::byteorder::big_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// First eight bytes of the metadata block: `SeImgLnx`.
pub const METADATA_MAGIC: [u8; 8] = *b"SeImgLnx";

/// Version that image builders write.
pub const METADATA_VERSION: u32 = 1;

/// File offset of the metadata block.
pub const METADATA_OFFSET: usize = 0xc000;

/// Where header and IPIB are in an image file (28 bytes, fields unaligned).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ImageMetadata {
    /// [`METADATA_MAGIC`].
    pub magic: [u8; 8],
    /// File offset of the SE header.
    pub header_offset: U64,
    /// [`METADATA_VERSION`].
    pub version: U32,
    /// File offset of the IPIB.
    pub ipib_offset: U64,
}

const _: () = {
    assert!(size_of::<ImageMetadata>() == 28);
    assert!(offset_of!(ImageMetadata, magic) == 0);
    assert!(offset_of!(ImageMetadata, header_offset) == 8);
    assert!(offset_of!(ImageMetadata, version) == 16);
    assert!(offset_of!(ImageMetadata, ipib_offset) == 20);
};

impl ImageMetadata {
    /// A version-1 block for the given file offsets.
    #[must_use]
    pub const fn new(header_offset: u64, ipib_offset: u64) -> Self {
        Self {
            magic: METADATA_MAGIC,
            header_offset: U64::new(header_offset),
            version: U32::new(METADATA_VERSION),
            ipib_offset: U64::new(ipib_offset),
        }
    }

    /// The block of an image file, or `None` if there is none at [`METADATA_OFFSET`]. Its version may
    /// be any.
    #[must_use]
    pub fn find(image: &[u8]) -> Option<Self> {
        let (metadata, _) = Self::read_from_prefix(image.get(METADATA_OFFSET..)?).ok()?;
        (metadata.magic == METADATA_MAGIC).then_some(metadata)
    }
}
