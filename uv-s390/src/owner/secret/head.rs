//! The first 1048 bytes of an add-secret request, and the checks that need no more.

use bitflags::bitflags;
use zerocopy::byteorder::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::error::AsrcbError;
use super::user_data::{USER_DATA_SIZE, UserDataKind};
use crate::abi::secret::SecretId;
use crate::owner::crypto::gcm::TAG_SIZE;
use crate::owner::crypto::{Coordinates, KEY_SLOT_SIZE};
use crate::owner::request::{ConfigUid, ImageIdentity, MAX_REQUEST_SIZE, REQUEST_VERSION_1, RequestHeader};

/// First bytes of every add-secret request.
pub(super) const MAGIC: [u8; 6] = *b"asrcbM";
/// Offset of the customer public key in a request.
pub(super) const CUSTOMER_AT: usize = 1048;
/// Bytes of the extension secret.
pub(super) const EXTENSION_SIZE: usize = 32;

bitflags! {
    /// Add-secret flags. Bits nobody has named yet are kept.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct AddSecretFlags: u64 {
        /// Bit 0: from now on this guest must not be dumped.
        const DISABLE_DUMP = 1 << 63;
        const _ = !0;
    }
}

/// Common header and plain fields of an add-secret request, 1048 bytes (s390-formats §9.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct AsrcbHead {
    /// Common request header; its magic ends with the kind of user data.
    pub header: RequestHeader,
    /// [`AddSecretFlags`].
    pub flags: U64,
    /// The image the request is made for.
    pub image: ImageIdentity,
    /// The guest the request is made for, or [`ConfigUid::ANY`].
    pub cuid: ConfigUid,
    /// Zero.
    pub reserved280: [u8; 256],
    /// User data; see [`UserDataKind`].
    pub user_data: [u8; USER_DATA_SIZE],
}

const _: () = {
    assert!(size_of::<AsrcbHead>() == CUSTOMER_AT);
    assert!(core::mem::offset_of!(AsrcbHead, header) == 0);
    assert!(core::mem::offset_of!(AsrcbHead, flags) == 48);
    assert!(core::mem::offset_of!(AsrcbHead, image) == 56);
    assert!(core::mem::offset_of!(AsrcbHead, cuid) == 264);
    assert!(core::mem::offset_of!(AsrcbHead, reserved280) == 280);
    assert!(core::mem::offset_of!(AsrcbHead, user_data) == 536);
};

/// Secret header without id, 16 bytes (s390-formats §9.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct SecretHead {
    pub(super) reserved0: [u8; 2],
    pub(super) kind: U16,
    pub(super) length: U32,
    pub(super) reserved8: [u8; 8],
}

/// Secret header with id, 48 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct SecretHeadWithId {
    pub(super) head: SecretHead,
    pub(super) id: SecretId,
}

const _: () = {
    assert!(size_of::<SecretHead>() == 16);
    assert!(core::mem::offset_of!(SecretHead, kind) == 2);
    assert!(core::mem::offset_of!(SecretHead, length) == 4);
    assert!(core::mem::offset_of!(SecretHead, reserved8) == 8);
    assert!(size_of::<SecretHeadWithId>() == 48);
    assert!(core::mem::offset_of!(SecretHeadWithId, id) == 16);
};

/// Sizes of a request whose header was found consistent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsrcbLayout {
    /// Bytes of the whole request.
    pub size: usize,
    /// Number of key slots.
    pub key_slots: usize,
    /// Bytes of the secret header: 16 or 48.
    pub secret_header_size: usize,
    /// Bytes of the encrypted area: the secret and 32 for the extension secret.
    pub encrypted_size: usize,
}

impl AsrcbHead {
    /// The flags, unknown bits included.
    #[must_use]
    pub const fn add_secret_flags(&self) -> AddSecretFlags {
        AddSecretFlags::from_bits_retain(u64::from_be_bytes(self.flags.to_bytes()))
    }

    /// Kind of the user data.
    #[must_use]
    pub const fn user_data_kind(&self) -> UserDataKind {
        let [.., high, low] = self.header.magic;
        UserDataKind(u16::from_be_bytes([high, low]))
    }

    /// Is the request made for this image?
    #[must_use]
    pub fn is_for_image(&self, image: &ImageIdentity) -> bool {
        self.image == *image
    }

    /// Is the request made for this guest, or for any?
    #[must_use]
    pub fn is_for_guest(&self, cuid: &ConfigUid) -> bool {
        self.cuid == ConfigUid::ANY || self.cuid == *cuid
    }

    /// Checks version (0x104), size (0x105) and number of key slots (0x106), in this order.
    ///
    /// The size is right if it leaves 16 or 48 bytes for the secret header and the encrypted area can hold the extension
    /// secret. Without key slots no size is right, so that a slot count of 0 is reported as such.
    ///
    /// # Errors
    /// [`AsrcbError::Magic`], [`AsrcbError::Version`], [`AsrcbError::Size`], [`AsrcbError::KeySlots`].
    pub fn check_layout(&self) -> Result<AsrcbLayout, AsrcbError> {
        let header = &self.header;
        if header.version.get() != REQUEST_VERSION_1 {
            return Err(AsrcbError::Version(header.version.get()));
        }
        if !header.magic.starts_with(&MAGIC) {
            return Err(AsrcbError::Magic);
        }
        let key_slots = usize::from(header.key_slots);
        if key_slots == 0 {
            return Err(AsrcbError::KeySlots);
        }
        let wrong = AsrcbError::Size { stated: header.size.get(), actual: CUSTOMER_AT };
        let to_usize = |value: U32| usize::try_from(value.get()).map_err(|_| wrong);
        let (size, encrypted_size) = (to_usize(header.size)?, to_usize(header.encrypted_size)?);
        let fixed = CUSTOMER_AT + size_of::<Coordinates>() + key_slots * KEY_SLOT_SIZE + TAG_SIZE;
        let secret_header_size =
            size.checked_sub(fixed).and_then(|rest| rest.checked_sub(encrypted_size)).ok_or(wrong)?;
        let fits = matches!(secret_header_size, 16 | 48) && encrypted_size >= EXTENSION_SIZE;
        if size > MAX_REQUEST_SIZE || !fits {
            return Err(wrong);
        }
        Ok(AsrcbLayout { size, key_slots, secret_header_size, encrypted_size })
    }

    /// Checks that no flag outside `supported` is set (0x107).
    ///
    /// # Errors
    /// [`AsrcbError::Flags`] with the offending bits.
    pub fn check_flags(&self, supported: AddSecretFlags) -> Result<AddSecretFlags, AsrcbError> {
        let flags = self.add_secret_flags();
        match flags.bits() & !supported.bits() {
            0 => Ok(flags),
            unsupported => Err(AsrcbError::Flags(unsupported)),
        }
    }
}
