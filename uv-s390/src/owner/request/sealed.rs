//! Reading the part that all requests share, and opening it.

use alloc::vec::Vec;

use thiserror::Error;
use zerocopy::FromBytes;
use zeroize::Zeroizing;

use super::header::RequestHeader;
use crate::owner::crypto::gcm::{self, TAG_SIZE};
use crate::owner::crypto::{Coordinates, HostPrivateKey, KeySlot, Phkh, RequestKey, SlotError, open_slots};

/// The encrypted area of a request cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// No key slot gives the request key.
    #[error(transparent)]
    Slot(#[from] SlotError),
    /// The tag of the request does not verify.
    #[error("request authentication failed")]
    Tag,
}

/// The encrypted area of a request, decrypted with a host key.
#[derive(Clone)]
pub struct OpenedRequest {
    /// The request key.
    pub key: RequestKey,
    /// Which host key opened it.
    pub host_key: Phkh,
    /// Plaintext of the encrypted area.
    pub plaintext: Zeroizing<Vec<u8>>,
}

impl core::fmt::Debug for OpenedRequest {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "OpenedRequest(host key {}, {} bytes)", self.host_key, self.plaintext.len())
    }
}

/// View of a request whose sizes have been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SealedRequest<'a> {
    pub(crate) header: &'a RequestHeader,
    pub(crate) customer: &'a Coordinates,
    pub(crate) slots: &'a [KeySlot],
    /// Everything before the encrypted area.
    pub(crate) aad: &'a [u8],
    pub(crate) ciphertext: &'a [u8],
    pub(crate) tag: &'a [u8; TAG_SIZE],
    /// Authenticated bytes after the slots.
    pub(crate) after_keys: &'a [u8],
}

impl<'a> SealedRequest<'a> {
    /// Splits a whole request whose customer key stands at `customer_at` and whose encrypted area has
    /// `encrypted_size` bytes. `None` if the parts do not fit in.
    pub(crate) fn split(bytes: &'a [u8], customer_at: usize, encrypted_size: usize) -> Option<Self> {
        let (rest, tag) = bytes.split_last_chunk::<TAG_SIZE>()?;
        let (aad, ciphertext) = rest.split_at_checked(rest.len().checked_sub(encrypted_size)?)?;
        let (header, _) = RequestHeader::ref_from_prefix(aad).ok()?;
        let (customer, slots) = Coordinates::ref_from_prefix(aad.get(customer_at..)?).ok()?;
        let (slots, after_keys) = <[KeySlot]>::ref_from_prefix_with_elems(slots, usize::from(header.key_slots)).ok()?;
        Some(Self { header, customer, slots, aad, ciphertext, tag, after_keys })
    }

    /// Decrypts with the request key.
    pub(crate) fn open_with_key(&self, key: &RequestKey) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let mut plaintext = Zeroizing::new(self.ciphertext.to_vec());
        gcm::open(key, &self.header.iv, self.aad, &mut plaintext, self.tag).map_err(|_| OpenError::Tag)?;
        Ok(plaintext)
    }

    /// Finds the slot of one of the host keys, then decrypts.
    pub(crate) fn open<'k>(
        &self,
        host_keys: impl IntoIterator<Item = &'k HostPrivateKey>,
    ) -> Result<OpenedRequest, OpenError> {
        let slot = open_slots(self.slots, self.customer, host_keys)?;
        let plaintext = self.open_with_key(&slot.key)?;
        tracing::debug!(host_key = %slot.host_key, bytes = plaintext.len(), "request opened");
        Ok(OpenedRequest { key: slot.key, host_key: slot.host_key, plaintext })
    }
}
