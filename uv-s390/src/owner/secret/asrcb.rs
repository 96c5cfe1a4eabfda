//! Reading and opening an add-secret request.

use alloc::vec::Vec;

use zerocopy::FromBytes;
use zeroize::Zeroizing;

use super::error::AsrcbError;
use super::head::{AsrcbHead, CUSTOMER_AT, EXTENSION_SIZE, SecretHead, SecretHeadWithId};
use super::sign::{SignatureError, UserDataVerifier};
use super::signed;
use super::value::GuestSecret;
use crate::abi::secret::SecretId;
use crate::abi::secret::SecretType;
use crate::owner::crypto::gcm::TAG_SIZE;
use crate::owner::crypto::{Coordinates, HostPrivateKey, KeySlot, Phkh, RequestKey, SecretBytes};
use crate::owner::request::SealedRequest;

/// View of an add-secret request whose layout was found consistent. Flags, type and length of the secret may still be
/// unsupported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asrcb<'a> {
    bytes: &'a [u8],
    head: &'a AsrcbHead,
    secret: &'a SecretHead,
    id: Option<&'a SecretId>,
    sealed: SealedRequest<'a>,
}

/// Content of an opened add-secret request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedAsrcb {
    /// The secret.
    pub secret: GuestSecret,
    /// The extension secret; zeros if there is none.
    pub extension: SecretBytes<32>,
}

impl<'a> Asrcb<'a> {
    /// Reads a request. All of [`AsrcbHead::check_layout`], then: not a byte less or more than the size stated.
    ///
    /// # Errors
    /// Those of [`AsrcbHead::check_layout`]; [`AsrcbError::Size`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, AsrcbError> {
        let actual = bytes.len();
        let (head, _) = AsrcbHead::ref_from_prefix(bytes).map_err(|_| AsrcbError::Size { stated: 0, actual })?;
        let wrong = AsrcbError::Size { stated: head.header.size.get(), actual };
        let layout = head.check_layout().map_err(|error| match error {
            AsrcbError::Size { .. } => wrong,
            other => other,
        })?;
        if layout.size != actual {
            return Err(wrong);
        }
        let sealed = SealedRequest::split(bytes, CUSTOMER_AT, layout.encrypted_size).ok_or(wrong)?;
        let (secret, _) = SecretHead::ref_from_prefix(sealed.after_keys).map_err(|_| wrong)?;
        let id = SecretHeadWithId::ref_from_bytes(sealed.after_keys).ok().map(|with_id| &with_id.id);
        Ok(Self { bytes, head, secret, id, sealed })
    }

    /// The first 1048 bytes.
    #[must_use]
    pub const fn head(&self) -> &'a AsrcbHead {
        self.head
    }

    /// The key slots.
    #[must_use]
    pub const fn key_slots(&self) -> &'a [KeySlot] {
        self.sealed.slots
    }

    /// The customer public key; not yet known to be a point of the curve.
    #[must_use]
    pub const fn customer_key(&self) -> &'a Coordinates {
        self.sealed.customer
    }

    /// The tag of the request (what the secret store hash is made of).
    #[must_use]
    pub const fn tag(&self) -> &'a [u8; TAG_SIZE] {
        self.sealed.tag
    }

    /// Type of the secret as stated; not authenticated before the request is opened.
    #[must_use]
    pub const fn secret_type(&self) -> SecretType {
        SecretType(u16::from_be_bytes(self.secret.kind.to_bytes()))
    }

    /// Id of the secret as stated; `None` with the short secret header of the null secret.
    #[must_use]
    pub const fn secret_id(&self) -> Option<SecretId> {
        match self.id {
            Some(id) => Some(*id),
            None => None,
        }
    }

    /// Opens with the request key.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with_key(&self, key: &RequestKey) -> Result<OpenedAsrcb, AsrcbError> {
        self.content(self.sealed.open_with_key(key)?)
    }

    /// Opens with a machine's host keys, as the Ultravisor does. Also says which host key it was.
    ///
    /// # Errors
    /// [`AsrcbError::Decrypt`] (0x108), then [`AsrcbError::UnsupportedSecret`] (0x109), then
    /// [`AsrcbError::SecretLength`] (0x10a).
    pub fn open<'k>(
        &self,
        host_keys: impl IntoIterator<Item = &'k HostPrivateKey>,
    ) -> Result<(OpenedAsrcb, Phkh), AsrcbError> {
        let opened = self.sealed.open(host_keys)?;
        Ok((self.content(opened.plaintext)?, opened.host_key))
    }

    fn content(&self, mut plaintext: Zeroizing<Vec<u8>>) -> Result<OpenedAsrcb, AsrcbError> {
        let kind = self.secret_type();
        if !kind.is_known() {
            return Err(AsrcbError::UnsupportedSecret(kind));
        }
        let wrong = AsrcbError::SecretLength { kind, length: self.secret.length.get() };
        let length = usize::try_from(self.secret.length.get()).map_err(|_| wrong)?;
        let (value, extension) =
            plaintext.split_at_checked(plaintext.len().saturating_sub(EXTENSION_SIZE)).ok_or(wrong)?;
        if value.len() != length || self.sealed.after_keys.len() != kind.header_size() {
            return Err(wrong);
        }
        let extension = SecretBytes::from_slice(extension).map_err(|_| wrong)?;
        plaintext.truncate(length);
        let id = self.secret_id().unwrap_or_default();
        let secret = GuestSecret::from_encoded(kind, id, plaintext).map_err(|_| wrong)?;
        Ok(OpenedAsrcb { secret, extension })
    }

    /// Checks the signature over the request and returns the signed user data with its zero fill. The request need not
    /// be opened for this.
    ///
    /// # Errors
    /// [`SignatureError::NotSigned`], [`SignatureError::KeyKind`] if the key is of another kind than the signature,
    /// [`SignatureError::Mismatch`].
    pub fn verify_user_data(&self, key: &UserDataVerifier) -> Result<&'a [u8], SignatureError> {
        let kind = self.head.user_data_kind();
        let (data, signature) = signed::split(kind, &self.head.user_data)?;
        let message = signed::message(kind, self.bytes)?;
        key.verify(kind, &message, signature)?;
        Ok(data)
    }
}
