//! Additional data of an attestation: fields in flag order, without lengths (s390-formats §8.3).

use alloc::vec::Vec;
use core::fmt;

use sha2::{Digest, Sha512};

use super::head::AttestationFlags;
use crate::owner::crypto::{BadLength, Phkh};

/// Bytes of the secret store hash.
pub const SECRET_STORE_HASH_SIZE: usize = 64;
/// Bytes of the firmware state.
pub const FIRMWARE_STATE_SIZE: usize = 320;

/// Firmware state, 320 bytes; only the vendor's service can read it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FirmwareState(pub [u8; FIRMWARE_STATE_SIZE]);

impl fmt::Debug for FirmwareState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FirmwareState({})", hex::encode(self.0))
    }
}

/// What the Ultravisor reports besides the measurement.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AdditionalData {
    /// Hash of the host key that opened the image.
    pub image_phkh: Option<Phkh>,
    /// Hash of the host key that opened the attestation request.
    pub attestation_phkh: Option<Phkh>,
    /// Which secrets the guest holds, see [`secret_store_hash`].
    pub secret_store_hash: Option<[u8; SECRET_STORE_HASH_SIZE]>,
    /// State of the machine's firmware.
    pub firmware_state: Option<FirmwareState>,
    /// Bytes behind the known fields.
    pub unrecognized: Vec<u8>,
}

impl AdditionalData {
    /// The fields that are there, by the names that the attestation tools give them, in the order of their flags.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        let unrecognized = Some(&self.unrecognized[..]).filter(|bytes| !bytes.is_empty());
        [
            ("image_phkh", self.image_phkh.as_ref().map(|phkh| &phkh.0[..])),
            ("attestation_phkh", self.attestation_phkh.as_ref().map(|phkh| &phkh.0[..])),
            ("secret_store_hash", self.secret_store_hash.as_ref().map(|hash| &hash[..])),
            ("firmware_state", self.firmware_state.as_ref().map(|state| &state.0[..])),
            ("unrecognized", unrecognized),
        ]
        .into_iter()
        .filter_map(|(name, bytes)| Some((name, bytes?)))
    }
}

/// Takes `N` bytes off the front.
fn take<const N: usize>(rest: &mut &[u8], wanted: bool) -> Result<Option<[u8; N]>, BadLength> {
    if !wanted {
        return Ok(None);
    }
    let short = BadLength { expected: N, actual: rest.len() };
    let (field, after) = rest.split_first_chunk().ok_or(short)?;
    *rest = after;
    Ok(Some(*field))
}

impl AdditionalData {
    /// Bytes that a request with these flags makes the Ultravisor report.
    #[must_use]
    pub const fn expected_size(flags: AttestationFlags) -> usize {
        let mut size = 0;
        if flags.contains(AttestationFlags::IMAGE_PHKH) {
            size += size_of::<Phkh>();
        }
        if flags.contains(AttestationFlags::ATTESTATION_PHKH) {
            size += size_of::<Phkh>();
        }
        if flags.contains(AttestationFlags::SECRET_STORE_HASH) {
            size += SECRET_STORE_HASH_SIZE;
        }
        if flags.contains(AttestationFlags::FIRMWARE_STATE) {
            size += FIRMWARE_STATE_SIZE;
        }
        size
    }

    /// Splits reported bytes into fields. What is left goes to [`Self::unrecognized`].
    ///
    /// # Errors
    /// [`BadLength`] if the bytes end before the last field that was asked for.
    pub fn split(flags: AttestationFlags, mut bytes: &[u8]) -> Result<Self, BadLength> {
        let rest = &mut bytes;
        Ok(Self {
            image_phkh: take(rest, flags.contains(AttestationFlags::IMAGE_PHKH))?.map(Phkh),
            attestation_phkh: take(rest, flags.contains(AttestationFlags::ATTESTATION_PHKH))?.map(Phkh),
            secret_store_hash: take(rest, flags.contains(AttestationFlags::SECRET_STORE_HASH))?,
            firmware_state: take(rest, flags.contains(AttestationFlags::FIRMWARE_STATE))?.map(FirmwareState),
            unrecognized: rest.to_vec(),
        })
    }

    /// Joins the fields that are present.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for phkh in [&self.image_phkh, &self.attestation_phkh].into_iter().flatten() {
            bytes.extend_from_slice(&phkh.0);
        }
        bytes.extend(self.secret_store_hash.iter().flatten());
        bytes.extend(self.firmware_state.iter().flat_map(|state| &state.0));
        bytes.extend_from_slice(&self.unrecognized);
        bytes
    }
}

/// Secret store hash: SHA-512 over the tags of the successful add-secret requests in their order, then one byte that says
/// whether the store is locked (s390-formats §8.3).
pub fn secret_store_hash<'t>(
    tags: impl IntoIterator<Item = &'t [u8; 16]>,
    locked: bool,
) -> [u8; SECRET_STORE_HASH_SIZE] {
    let mut hash = Sha512::new();
    for tag in tags {
        hash.update(tag);
    }
    hash.update([u8::from(locked)]);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_of_an_empty_store() {
        assert!(hex::encode(secret_store_hash([], false)).starts_with("b8244d028981d693"));
        assert!(hex::encode(secret_store_hash([], true)).starts_with("7b54b66836c1fbdd"));
        assert_ne!(secret_store_hash([&[1; 16], &[2; 16]], false), secret_store_hash([&[2; 16], &[1; 16]], false));
    }

    #[test]
    fn fields_stand_in_flag_order() {
        let data = AdditionalData {
            image_phkh: Some(Phkh([1; 32])),
            attestation_phkh: Some(Phkh([2; 32])),
            secret_store_hash: Some([3; 64]),
            firmware_state: Some(FirmwareState([4; 320])),
            unrecognized: [5; 7].to_vec(),
        };
        let bytes = data.encode();
        assert_eq!(bytes.len(), 448 + 7);
        assert_eq!((bytes[0], bytes[32], bytes[64], bytes[128], bytes[448]), (1, 2, 3, 4, 5));
        assert_eq!(AdditionalData::expected_size(AttestationFlags::KNOWN), 448);
        assert_eq!(AdditionalData::split(AttestationFlags::KNOWN, &bytes).unwrap(), data);

        let flags = AttestationFlags::SECRET_STORE_HASH | AttestationFlags::NONCE;
        assert_eq!(AdditionalData::expected_size(flags), 64);
        let part = AdditionalData::split(flags, &bytes[..64]).unwrap();
        assert_eq!(part.secret_store_hash.unwrap()[..32], [1; 32]);
        assert_eq!(AdditionalData::split(flags, &bytes[..63]).unwrap_err(), BadLength { expected: 64, actual: 63 });
    }
}
