//! The first 64 bytes of an attestation request, and the checks that need no more.

use bitflags::bitflags;
use zerocopy::byteorder::big_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::error::ArcbError;
use crate::owner::crypto::gcm::TAG_SIZE;
use crate::owner::crypto::{Coordinates, KEY_SLOT_SIZE};
use crate::owner::request::{REQUEST_VERSION_1, RequestHeader};

/// Measurement algorithm 1: HMAC-SHA-512, 64 bytes of measurement.
pub const MEASUREMENT_HMAC_SHA512: u32 = 1;

/// Offset of the customer public key in a request.
pub(super) const CUSTOMER_AT: usize = 64;
/// Bytes of the encrypted area without and with a nonce.
pub(super) const AREA_PLAIN: usize = 64;
pub(super) const AREA_WITH_NONCE: usize = 80;

/// Bit `n` of a 64-bit word, counted from the most significant bit.
const fn bit(n: u32) -> u64 {
    1 << (63 - n)
}

bitflags! {
    /// Attestation flags (s390-formats §8.2). Bits nobody has named yet are kept.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct AttestationFlags: u64 {
        /// Bit 1: the encrypted area carries a nonce.
        const NONCE = bit(1);
        /// Bit 2: report the hash of the host key that opened the image.
        const IMAGE_PHKH = bit(2);
        /// Bit 3: report the hash of the host key that opened this request.
        const ATTESTATION_PHKH = bit(3);
        /// Bit 4: report the secret store hash.
        const SECRET_STORE_HASH = bit(4);
        /// Bit 5: report the firmware state.
        const FIRMWARE_STATE = bit(5);
        const _ = !0;
    }
}

impl AttestationFlags {
    /// All flags this library knows.
    pub const KNOWN: Self = Self::from_bits_retain(bit(1) | bit(2) | bit(3) | bit(4) | bit(5));
}

/// Common header and plain fields of an ARCB, 64 bytes (s390-formats §8.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ArcbHead {
    /// Common request header.
    pub header: RequestHeader,
    /// [`AttestationFlags`].
    pub flags: U64,
    /// Measurement algorithm, [`MEASUREMENT_HMAC_SHA512`].
    pub algorithm: U32,
    /// Zero.
    pub reserved60: [u8; 4],
}

const _: () = {
    assert!(size_of::<ArcbHead>() == CUSTOMER_AT);
    assert!(core::mem::offset_of!(ArcbHead, header) == 0);
    assert!(core::mem::offset_of!(ArcbHead, flags) == 48);
    assert!(core::mem::offset_of!(ArcbHead, algorithm) == 56);
    assert!(core::mem::offset_of!(ArcbHead, reserved60) == 60);
};

/// Sizes of a request whose header was found consistent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArcbLayout {
    /// Bytes of the whole request.
    pub size: usize,
    /// Number of key slots.
    pub key_slots: usize,
    /// Bytes of the encrypted area: 64, or 80 with a nonce.
    pub encrypted_size: usize,
}

impl ArcbHead {
    /// The flags, unknown bits included.
    #[must_use]
    pub const fn attestation_flags(&self) -> AttestationFlags {
        AttestationFlags::from_bits_retain(u64::from_be_bytes(self.flags.to_bytes()))
    }

    /// Checks version (0x106), length (0x107), number of key slots (0x108) and size of the encrypted area (0x109), in
    /// this order.
    ///
    /// The length alone may be right with or without a nonce; the encrypted area must then fit both the length and the
    /// nonce flag. Without key slots no length is right, so that a slot count of 0 is reported as such.
    ///
    /// # Errors
    /// [`ArcbError::Magic`], [`ArcbError::Version`], [`ArcbError::Length`], [`ArcbError::KeySlots`],
    /// [`ArcbError::EncryptedSize`].
    pub fn check_layout(&self) -> Result<ArcbLayout, ArcbError> {
        let header = &self.header;
        if header.version.get() != REQUEST_VERSION_1 {
            return Err(ArcbError::Version(header.version.get()));
        }
        if header.magic != [0; 8] {
            return Err(ArcbError::Magic);
        }
        let key_slots = usize::from(header.key_slots);
        let around = CUSTOMER_AT + size_of::<Coordinates>() + key_slots * KEY_SLOT_SIZE + TAG_SIZE;
        let fitting = [AREA_PLAIN, AREA_WITH_NONCE].into_iter().find(|area| header.states_size(around + area));
        if key_slots == 0 {
            return Err(ArcbError::KeySlots);
        }
        let Some(area) = fitting else {
            return Err(ArcbError::Length { stated: header.size.get(), actual: CUSTOMER_AT });
        };
        let wanted = match self.attestation_flags().contains(AttestationFlags::NONCE) {
            true => AREA_WITH_NONCE,
            false => AREA_PLAIN,
        };
        if area != wanted || !header.states_encrypted_size(wanted) {
            return Err(ArcbError::EncryptedSize(header.encrypted_size.get()));
        }
        Ok(ArcbLayout { size: around + area, key_slots, encrypted_size: area })
    }

    /// Checks that no flag outside `supported` is set (0x10a).
    ///
    /// # Errors
    /// [`ArcbError::Flags`] with the offending bits.
    pub fn check_flags(&self, supported: AttestationFlags) -> Result<AttestationFlags, ArcbError> {
        let flags = self.attestation_flags();
        match flags.bits() & !supported.bits() {
            0 => Ok(flags),
            unsupported => Err(ArcbError::Flags(unsupported)),
        }
    }

    /// Checks that the measurement algorithm is HMAC-SHA-512 (0x10b).
    ///
    /// # Errors
    /// [`ArcbError::Algorithm`].
    pub const fn check_algorithm(&self) -> Result<(), ArcbError> {
        match u32::from_be_bytes(self.algorithm.to_bytes()) {
            MEASUREMENT_HMAC_SHA512 => Ok(()),
            other => Err(ArcbError::Algorithm(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use zerocopy::FromZeros;

    use super::*;

    fn head(slots: u8, size: u32, area: u32, flags: u64) -> ArcbHead {
        let mut head = ArcbHead::new_zeroed();
        head.header.version = U32::new(0x100);
        head.header.size = U32::new(size);
        head.header.key_slots = slots;
        head.header.encrypted_size = U32::new(area);
        head.flags = U64::new(flags);
        head.algorithm = U32::new(1);
        head
    }

    fn rc(head: ArcbHead) -> u16 {
        head.check_layout().map_or_else(ArcbError::rc, |_| 1)
    }

    /// The sequence a guest's test runs against firmware: one key slot, no nonce, 384 bytes.
    #[test]
    fn codes_of_a_request_without_nonce() {
        let flags = AttestationFlags::ATTESTATION_PHKH.bits();
        assert_eq!(rc(head(1, 384, 64, flags)), 1);
        let mut old = head(1, 384, 64, flags);
        old.header.version = U32::new(0);
        assert_eq!(rc(old), 0x106);
        assert_eq!(rc(head(1, 385, 64, flags)), 0x107);
        assert_eq!(rc(head(2, 384, 64, flags)), 0x107);
        assert_eq!(rc(head(0, 384, 64, flags)), 0x108);
        assert_eq!(rc(head(1, 384, 80, flags)), 0x109);
        assert_eq!(rc(head(1, 384, 17, flags)), 0x109);
        let unknown = head(1, 384, 64, 1);
        assert_eq!(rc(unknown), 1);
        assert_eq!(unknown.attestation_flags().bits(), 1);
        assert_eq!(unknown.check_flags(AttestationFlags::KNOWN).unwrap_err(), ArcbError::Flags(1));
        let mut none = head(1, 384, 64, flags);
        none.algorithm = U32::new(0);
        assert_eq!(none.check_algorithm().unwrap_err().rc(), 0x10b);
    }

    #[test]
    fn codes_of_a_request_with_nonce() {
        let flags = AttestationFlags::NONCE.bits();
        assert_eq!(
            head(3, 560, 80, flags).check_layout().unwrap(),
            ArcbLayout { size: 560, key_slots: 3, encrypted_size: 80 }
        );
        assert_eq!(rc(head(3, 544, 64, flags)), 0x109);
        assert_eq!(rc(head(3, 560, 80, 0)), 0x109);
        assert_eq!(rc(head(3, 560, 64, flags)), 0x109);
        assert_eq!(rc(head(255, 320 + 80 * 255, 80, flags)), 1);
        assert_eq!(rc(head(3, u32::MAX, 80, flags)), 0x107);
        let mut magic = head(3, 560, 80, flags);
        magic.header.magic[7] = 1;
        assert_eq!(magic.check_layout().unwrap_err(), ArcbError::Magic);
    }
}
