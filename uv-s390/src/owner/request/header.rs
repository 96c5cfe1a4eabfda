//! The common request header.

use zerocopy::byteorder::big_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::owner::crypto::gcm::IV_SIZE;

/// Bytes of [`RequestHeader`].
pub const REQUEST_HEADER_SIZE: usize = 48;
/// The only request version there is.
pub const REQUEST_VERSION_1: u32 = 0x0000_0100;
/// No request may be longer, in bytes (1 MiB).
pub const MAX_REQUEST_SIZE: usize = 1 << 20;

/// Common request header, version 0x100, 48 bytes (s390-formats §8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RequestHeader {
    /// What kind of request it is: zeros for attestation, `asrcbM` and the user-data kind for add-secret.
    pub magic: [u8; 8],
    /// Request version, [`REQUEST_VERSION_1`].
    pub version: U32,
    /// Bytes of the whole request, the tag included.
    pub size: U32,
    /// AES-GCM initialisation vector.
    pub iv: [u8; IV_SIZE],
    /// Zero.
    pub reserved28: [u8; 11],
    /// Number of key slots, 1 to 255.
    pub key_slots: u8,
    /// Zero.
    pub reserved40: [u8; 4],
    /// Bytes of the encrypted area, the tag not included.
    pub encrypted_size: U32,
}

const _: () = {
    assert!(size_of::<RequestHeader>() == REQUEST_HEADER_SIZE);
    assert!(core::mem::offset_of!(RequestHeader, magic) == 0);
    assert!(core::mem::offset_of!(RequestHeader, version) == 8);
    assert!(core::mem::offset_of!(RequestHeader, size) == 12);
    assert!(core::mem::offset_of!(RequestHeader, iv) == 16);
    assert!(core::mem::offset_of!(RequestHeader, reserved28) == 28);
    assert!(core::mem::offset_of!(RequestHeader, key_slots) == 39);
    assert!(core::mem::offset_of!(RequestHeader, reserved40) == 40);
    assert!(core::mem::offset_of!(RequestHeader, encrypted_size) == 44);
};

impl RequestHeader {
    /// Does the header state exactly this many bytes?
    #[must_use]
    pub fn states_size(&self, size: usize) -> bool {
        usize::try_from(self.size.get()).is_ok_and(|stated| stated == size)
    }

    /// Does the header state exactly this many bytes of encrypted area?
    #[must_use]
    pub fn states_encrypted_size(&self, size: usize) -> bool {
        usize::try_from(self.encrypted_size.get()).is_ok_and(|stated| stated == size)
    }
}
