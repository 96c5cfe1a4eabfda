//! Byte layout of an SE header.

use core::fmt;
use core::mem::{offset_of, size_of};

use zerocopy::byteorder::big_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::flags::{PlaintextControlFlags, SecretControlFlags};
use crate::abi::psw::Psw;

/// First eight bytes of every SE header: `IBMSecEx`.
pub const MAGIC: [u8; 8] = *b"IBMSecEx";

/// Most bytes that an SE header may have: the limit of QEMU and of the image tools.
pub const MAX_SIZE: usize = 8192;

/// Bytes of the tag at the end of every SE header.
pub const TAG_SIZE: usize = 16;

/// Version word of an SE header. Open: any value may come from outside.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct HeaderVersion(pub u32);

impl HeaderVersion {
    /// The only published version, 0x100.
    pub const V1: Self = Self(0x100);

    /// Sizes that depend on the version, or `None` for an unknown version.
    #[must_use]
    pub const fn format(self) -> Option<HeaderFormat> {
        match self {
            Self::V1 => Some(HeaderFormat { slot_size: 80, encrypted_size: 128 }),
            _ => None,
        }
    }
}

impl fmt::Debug for HeaderVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeaderVersion({:#x})", self.0)
    }
}

/// Sizes and offsets of one header version, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderFormat {
    /// Bytes of one key slot.
    pub slot_size: usize,
    /// Bytes of the encrypted area.
    pub encrypted_size: usize,
}

impl HeaderFormat {
    /// Bytes of a header with `slots` key slots, or `None` if the number overflows.
    ///
    /// ```
    /// use uv_s390::abi::se_header::HeaderVersion;
    /// let v1 = HeaderVersion::V1.format().expect("published version");
    /// assert_eq!(v1.size(1), Some(640));
    /// assert_eq!(v1.max_slots(), 95);
    /// ```
    #[must_use]
    pub const fn size(self, slots: usize) -> Option<usize> {
        let Some(slots) = slots.checked_mul(self.slot_size) else { return None };
        slots.checked_add(size_of::<FixedPart>() + self.encrypted_size + TAG_SIZE)
    }

    /// Most key slots of a header of at most [`MAX_SIZE`] bytes.
    #[must_use]
    pub const fn max_slots(self) -> usize {
        (MAX_SIZE - size_of::<FixedPart>() - self.encrypted_size - TAG_SIZE) / self.slot_size
    }
}

/// The first 416 bytes of an SE header: everything before the key slots. All of it is plain and
/// authenticated by the tag.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct FixedPart {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// [`HeaderVersion`].
    pub version: U32,
    /// PHS: bytes of the whole header, tag included.
    pub size: U32,
    /// AES-GCM initialization vector.
    pub iv: [u8; 12],
    /// Zero.
    pub reserved_1c: [u8; 4],
    /// NKS: number of key slots.
    pub slot_count: U64,
    /// SEA: bytes of the encrypted area.
    pub encrypted_size: U64,
    /// NEP: number of component pages.
    pub page_count: U64,
    /// PCF: [`PlaintextControlFlags`].
    pub plaintext_flags: U64,
    /// Coordinates of the customer public key: x and y, each left-padded to 80 bytes.
    pub customer_key: [u8; 160],
    /// PLD: digest of the stored pages.
    pub page_digest: [u8; 64],
    /// ALD: digest of the page addresses.
    pub address_digest: [u8; 64],
    /// TLD: digest of the page tweaks.
    pub tweak_digest: [u8; 64],
}

const _: () = {
    assert!(size_of::<FixedPart>() == 0x1a0);
    assert!(offset_of!(FixedPart, magic) == 0x00);
    assert!(offset_of!(FixedPart, version) == 0x08);
    assert!(offset_of!(FixedPart, size) == 0x0c);
    assert!(offset_of!(FixedPart, iv) == 0x10);
    assert!(offset_of!(FixedPart, reserved_1c) == 0x1c);
    assert!(offset_of!(FixedPart, slot_count) == 0x20);
    assert!(offset_of!(FixedPart, encrypted_size) == 0x28);
    assert!(offset_of!(FixedPart, page_count) == 0x30);
    assert!(offset_of!(FixedPart, plaintext_flags) == 0x38);
    assert!(offset_of!(FixedPart, customer_key) == 0x40);
    assert!(offset_of!(FixedPart, page_digest) == 0xe0);
    assert!(offset_of!(FixedPart, address_digest) == 0x120);
    assert!(offset_of!(FixedPart, tweak_digest) == 0x160);
};

impl FixedPart {
    /// The version word.
    #[must_use]
    pub fn version(&self) -> HeaderVersion {
        HeaderVersion(self.version.get())
    }

    /// The plaintext control flags, unknown bits kept.
    #[must_use]
    pub fn pcf(&self) -> PlaintextControlFlags {
        PlaintextControlFlags::from_bits_retain(self.plaintext_flags.get())
    }
}

impl fmt::Debug for FixedPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FixedPart")
            .field("version", &self.version())
            .field("size", &self.size.get())
            .field("slot_count", &self.slot_count.get())
            .field("encrypted_size", &self.encrypted_size.get())
            .field("page_count", &self.page_count.get())
            .field("plaintext_flags", &self.pcf())
            .finish_non_exhaustive()
    }
}

/// The encrypted area of a version-1 header in plain form (128 bytes). It holds keys: it is wiped when
/// dropped, and `Debug` shows nothing of it.
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ConfidentialArea {
    /// CCK: customer communication key.
    pub cck: [u8; 32],
    /// AES-256-XTS key of the components: data key, then tweak key.
    pub image_key: [u8; 64],
    /// PSW at which the guest starts: the first byte of stage3b, in 64-bit mode.
    pub psw: Psw,
    /// SCF: [`SecretControlFlags`].
    pub secret_flags: U64,
    /// NOI: number of optional items, 0.
    pub optional_items: U32,
    /// Zero.
    pub reserved_7c: [u8; 4],
}

const _: () = {
    assert!(size_of::<ConfidentialArea>() == 128);
    assert!(offset_of!(ConfidentialArea, cck) == 0);
    assert!(offset_of!(ConfidentialArea, image_key) == 32);
    assert!(offset_of!(ConfidentialArea, psw) == 96);
    assert!(offset_of!(ConfidentialArea, secret_flags) == 112);
    assert!(offset_of!(ConfidentialArea, optional_items) == 120);
    assert!(offset_of!(ConfidentialArea, reserved_7c) == 124);
};

impl ConfidentialArea {
    /// The secret control flags, unknown bits kept.
    #[must_use]
    pub fn scf(&self) -> SecretControlFlags {
        SecretControlFlags::from_bits_retain(self.secret_flags.get())
    }
}

impl Drop for ConfidentialArea {
    fn drop(&mut self) {
        self.as_mut_bytes().zeroize();
    }
}

impl ZeroizeOnDrop for ConfidentialArea {}

impl fmt::Debug for ConfidentialArea {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConfidentialArea(..)")
    }
}
