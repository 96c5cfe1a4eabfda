//! Writing a header.

use alloc::vec::Vec;
use core::fmt;

use zerocopy::IntoBytes;
use zerocopy::byteorder::big_endian::{U32, U64};
use zeroize::Zeroizing;

use crate::abi::se_header::HeaderError;
use crate::abi::se_header::PlaintextControlFlags;
use crate::abi::se_header::SeHeader;
use crate::abi::se_header::{ConfidentialArea, FixedPart, HeaderVersion, MAGIC, MAX_SIZE};
use crate::owner::crypto::{Coordinates, KeySlot, RequestKey, gcm};
use crate::owner::image::Measurement;

/// Everything that goes into a header. Nothing is drawn at random here, so equal contents give equal
/// bytes.
pub struct HeaderContent<'a> {
    /// Initialization vector; never use one twice with the same header key.
    pub iv: [u8; gcm::IV_SIZE],
    /// Key that encrypts and authenticates the header.
    pub header_key: &'a RequestKey,
    /// Public half of the key pair with which the slots were made.
    pub customer_key: Coordinates,
    /// The header key, wrapped for each machine.
    pub slots: &'a [KeySlot],
    /// Plaintext control flags.
    pub pcf: PlaintextControlFlags,
    /// What the components measure to.
    pub measurement: &'a Measurement,
    /// The area to be encrypted.
    pub confidential: &'a ConfidentialArea,
}

impl fmt::Debug for HeaderContent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeaderContent")
            .field("slots", &self.slots.len())
            .field("pcf", &self.pcf)
            .field("page_count", &self.measurement.page_count)
            .finish_non_exhaustive()
    }
}

impl SeHeader {
    /// Bytes of a version-1 header with `slots` key slots.
    ///
    /// # Errors
    /// [`HeaderError::NoSlots`] for 0, [`HeaderError::TooManySlots`] for more than fit into
    /// [`MAX_SIZE`] bytes (95).
    pub fn size_for(slots: usize) -> Result<usize, HeaderError> {
        if slots == 0 {
            return Err(HeaderError::NoSlots);
        }
        HeaderVersion::V1
            .format()
            .and_then(|format| format.size(slots))
            .filter(|&size| size <= MAX_SIZE)
            .ok_or(HeaderError::TooManySlots(slots))
    }

    /// Writes, encrypts and authenticates a version-1 header.
    ///
    /// # Errors
    /// Those of [`size_for`](Self::size_for).
    pub fn seal(content: &HeaderContent<'_>) -> Result<Self, HeaderError> {
        let size = Self::size_for(content.slots.len())?;
        let too_many = HeaderError::TooManySlots(content.slots.len());
        let fixed = FixedPart {
            magic: MAGIC,
            version: U32::new(HeaderVersion::V1.0),
            size: U32::new(u32::try_from(size).map_err(|_| too_many)?),
            iv: content.iv,
            reserved_1c: [0; 4],
            slot_count: U64::new(u64::try_from(content.slots.len()).map_err(|_| too_many)?),
            encrypted_size: U64::new(128),
            page_count: U64::new(content.measurement.page_count),
            plaintext_flags: U64::new(content.pcf.bits()),
            customer_key: zerocopy::transmute!(content.customer_key),
            page_digest: content.measurement.page_digest,
            address_digest: content.measurement.address_digest,
            tweak_digest: content.measurement.tweak_digest,
        };
        let mut bytes = Vec::with_capacity(size);
        bytes.extend_from_slice(fixed.as_bytes());
        bytes.extend_from_slice(content.slots.as_bytes());
        let mut area = Zeroizing::new([0; size_of::<ConfidentialArea>()]);
        area.copy_from_slice(content.confidential.as_bytes());
        let tag = gcm::seal(content.header_key, &content.iv, &bytes, area.as_mut());
        bytes.extend_from_slice(area.as_ref());
        bytes.extend_from_slice(&tag);
        Self::parse(&bytes)
    }
}
