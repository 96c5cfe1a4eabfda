//! Which image, which guest.

use core::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::owner::crypto::BadLength;

/// Offset of the page content digest in an SE header; the other two digests follow.
const DIGESTS: usize = 0xe0;
/// Smallest SE header: one key slot.
const SMALLEST_HEADER: usize = 640;

/// The fields of an SE header that identify the image, 208 bytes in the order in which requests and measurements use
/// them (s390-formats §8.3, §9.1).
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ImageIdentity {
    /// Page content digest (PLD).
    pub pld: [u8; 64],
    /// Address digest (ALD).
    pub ald: [u8; 64],
    /// Tweak digest (TLD).
    pub tld: [u8; 64],
    /// GCM tag of the header.
    pub tag: [u8; 16],
}

const _: () = {
    assert!(size_of::<ImageIdentity>() == 208);
    assert!(core::mem::offset_of!(ImageIdentity, pld) == 0);
    assert!(core::mem::offset_of!(ImageIdentity, ald) == 64);
    assert!(core::mem::offset_of!(ImageIdentity, tld) == 128);
    assert!(core::mem::offset_of!(ImageIdentity, tag) == 192);
};

impl ImageIdentity {
    /// Takes the fields out of the bytes of one whole SE header. Nothing else of the header is looked at.
    ///
    /// # Errors
    /// [`BadLength`] if the slice is shorter than the smallest header (640 bytes).
    pub fn from_header(header: &[u8]) -> Result<Self, BadLength> {
        let short = BadLength { expected: SMALLEST_HEADER, actual: header.len() };
        if header.len() < SMALLEST_HEADER {
            return Err(short);
        }
        let digests: &[u8; 192] = header[DIGESTS..].first_chunk().ok_or(short)?;
        let mut identity = Self { pld: [0; 64], ald: [0; 64], tld: [0; 64], tag: *header.last_chunk().ok_or(short)? };
        identity.pld.copy_from_slice(&digests[..64]);
        identity.ald.copy_from_slice(&digests[64..128]);
        identity.tld.copy_from_slice(&digests[128..]);
        Ok(identity)
    }
}

impl fmt::Debug for ImageIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImageIdentity(tag {})", hex::encode(self.tag))
    }
}

/// Configuration unique id (CUID): names one running guest instance, 16 bytes, chosen by the Ultravisor.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(transparent)]
pub struct ConfigUid(pub [u8; 16]);

impl ConfigUid {
    /// All zero: in an add-secret request it stands for "any instance".
    pub const ANY: Self = Self([0; 16]);

    /// Reads 32 hex digits, with or without `0x` in front.
    ///
    /// # Errors
    /// [`hex::FromHexError`] for anything else.
    pub fn from_hex(text: &str) -> Result<Self, hex::FromHexError> {
        let mut cuid = Self::ANY;
        hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut cuid.0)?;
        Ok(cuid)
    }

    /// Reads a CUID file: 16 raw bytes, or YAML text with an entry `cuid: "0x…"` at any depth, as the verification of an
    /// attestation writes it. `None` for anything else.
    #[must_use]
    pub fn from_file(content: &[u8]) -> Option<Self> {
        if let Ok(raw) = content.try_into() {
            return Some(Self(raw));
        }
        let value = core::str::from_utf8(content).ok()?.lines().find_map(|line| line.trim().strip_prefix("cuid:"))?;
        let value = value.trim().trim_matches(['"', '\'']);
        value.starts_with("0x").then(|| Self::from_hex(value).ok()).flatten()
    }
}

impl fmt::Display for ConfigUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl fmt::Debug for ConfigUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConfigUid({self})")
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn fields_of_a_header() {
        let header: [u8; 720] = core::array::from_fn(|index| u8::try_from(index / 16).unwrap());
        let identity = ImageIdentity::from_header(&header).unwrap();
        assert_eq!((identity.pld[0], identity.ald[0], identity.tld[0], identity.tag[0]), (14, 18, 22, 44));
        assert_eq!(ImageIdentity::from_header(&header[..639]).unwrap_err(), BadLength { expected: 640, actual: 639 });
    }

    #[test]
    fn cuid_text() {
        let text = "0x00112233445566778899aabbccddeeff";
        let cuid = ConfigUid::from_hex(text).unwrap();
        assert_eq!(format!("{cuid}"), text);
        assert_eq!(ConfigUid::from_hex(&text[2..]).unwrap(), cuid);
        assert!(ConfigUid::from_hex("0x00").is_err());
        assert_eq!(ConfigUid::from_file(&cuid.0), Some(cuid));
        assert_eq!(ConfigUid::from_file(format!("add: 0x00\nresult:\n  cuid: '{text}'\n").as_bytes()), Some(cuid));
        assert_eq!(ConfigUid::from_file(format!("uid: {text}\n").as_bytes()), None);
        assert_eq!(ConfigUid::from_file(b""), None);
    }

    #[test]
    fn cuid_files() {
        let raw = include_bytes!("../../../tests/fixtures/pvsecret/inputs/cuid.bin");
        let yaml = include_bytes!("../../../tests/fixtures/pvsecret/inputs/cuid.yaml");
        let cuid = ConfigUid::from_hex("16f15a03455da4d8127fb0942613b418").unwrap();
        assert_eq!(ConfigUid::from_file(yaml), Some(cuid));
        assert_eq!(ConfigUid::from_file(raw).map(|cuid| cuid.0), Some(*raw));
    }
}
