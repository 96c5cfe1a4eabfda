//! Opening a header: from a machine's private host key, or from the header key.

use alloc::vec::Vec;
use core::fmt;

use zerocopy::{FromBytes, IntoBytes};

use crate::abi::se_header::ConfidentialArea;
use crate::abi::se_header::HeaderError;
use crate::abi::se_header::SeHeader;
use crate::owner::crypto::{
    Coordinates, HostPrivateKey, KeySlot, OpenedSlot, Phkh, RequestKey, SlotError, gcm, open_slots,
};

/// An opened header: the tag was right.
#[derive(Clone)]
pub struct OpenedHeader {
    /// The decrypted area.
    pub confidential: ConfidentialArea,
    /// The header key that the slot held.
    pub header_key: RequestKey,
    /// Hash of the host key whose slot was opened.
    pub host_key: Phkh,
}

impl fmt::Debug for OpenedHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenedHeader").field("host_key", &self.host_key).finish_non_exhaustive()
    }
}

impl From<SlotError> for HeaderError {
    fn from(error: SlotError) -> Self {
        match error {
            SlotError::NoMatchingSlot => Self::NoMatchingSlot,
            SlotError::CustomerKey => Self::CustomerKey,
            // A later kind of slot failure is, like a wrong tag, a slot that does not open.
            _ => Self::Slot,
        }
    }
}

impl SeHeader {
    /// The key slots in order.
    pub fn slots(&self) -> impl Iterator<Item = KeySlot> {
        self.slot_bytes().filter_map(|slot| KeySlot::read_from_bytes(slot).ok())
    }

    /// The customer public key as stored; it may be no point of the curve.
    #[must_use]
    pub fn customer_key(&self) -> Coordinates {
        zerocopy::transmute!(self.fixed().customer_key)
    }

    /// Whether a slot names this host key. Nothing is authenticated.
    #[must_use]
    pub fn has_slot_for(&self, host_key: &Phkh) -> bool {
        self.slots().any(|slot| slot.phkh == *host_key)
    }

    /// Unwraps the header key with the first of `host_keys` that a slot names.
    ///
    /// # Errors
    /// [`HeaderError::NoMatchingSlot`] (0108/0005), [`HeaderError::CustomerKey`] (0108/000b) or
    /// [`HeaderError::Slot`].
    pub fn unwrap_key<'k>(
        &self,
        host_keys: impl IntoIterator<Item = &'k HostPrivateKey>,
    ) -> Result<OpenedSlot, HeaderError> {
        let slots: Vec<KeySlot> = self.slots().collect();
        Ok(open_slots(&slots, &self.customer_key(), host_keys)?)
    }

    /// Opens the header as the machine with this host key does: slot, header key, tag.
    ///
    /// Flags are not judged: see [`check_pcf`](Self::check_pcf) and [`ConfidentialArea::check_scf`].
    ///
    /// # Errors
    /// Those of [`unwrap_key`](Self::unwrap_key), then those of
    /// [`open_with_header_key`](Self::open_with_header_key).
    pub fn open(&self, host_key: &HostPrivateKey) -> Result<OpenedHeader, HeaderError> {
        let OpenedSlot { key, host_key } = self.unwrap_key([host_key])?;
        let confidential = self.open_with_header_key(&key)?;
        Ok(OpenedHeader { confidential, header_key: key, host_key })
    }

    /// Opens the header as its owner does, with the header key.
    ///
    /// # Errors
    /// [`HeaderError::Tag`] if the key is another one or if any bit of the header was changed.
    pub fn open_with_header_key(&self, key: &RequestKey) -> Result<ConfidentialArea, HeaderError> {
        let stored = self.encrypted_area();
        let mut area = ConfidentialArea::read_from_bytes(stored)
            .map_err(|_| HeaderError::EncryptedSize(self.fixed().encrypted_size.get()))?;
        gcm::open(key, &self.fixed().iv, self.aad(), area.as_mut_bytes(), &self.tag()).map_err(|_| HeaderError::Tag)?;
        Ok(area)
    }
}
