//! The attestation request itself: build, parse, open.

use alloc::vec::Vec;

use rand_core::CryptoRng;
use zerocopy::byteorder::big_endian::{U32, U64};
use zerocopy::{FromBytes, IntoBytes};
use zeroize::Zeroizing;

use super::error::ArcbError;
use super::head::{AREA_PLAIN, AREA_WITH_NONCE, ArcbHead, AttestationFlags, CUSTOMER_AT, MEASUREMENT_HMAC_SHA512};
use crate::owner::crypto::{
    Coordinates, HostPrivateKey, HostPublicKey, KeySlot, MeasurementKey, Phkh, RequestKey, SecretBytes,
};
use crate::owner::request::{BuildError, RequestParts, RequestSecrets, SealedRequest, seal};

/// Nonce of an attestation, 16 bytes; known to the owner and the Ultravisor only.
pub type Nonce = SecretBytes<16>;

/// What the guest owner asks for.
#[derive(Debug, Clone)]
pub struct AttestationRequest {
    /// Data to report. [`AttestationFlags::NONCE`] follows [`Self::nonce`], whatever is set here.
    pub flags: AttestationFlags,
    /// Key of the measurement.
    pub measurement_key: MeasurementKey,
    /// Makes the measurement unique.
    pub nonce: Option<Nonce>,
}

impl AttestationRequest {
    /// Draws a measurement key and a nonce.
    pub fn random<R: CryptoRng + ?Sized>(flags: AttestationFlags, rng: &mut R) -> Self {
        Self { flags, measurement_key: MeasurementKey::random(rng), nonce: Some(Nonce::random(rng)) }
    }

    /// Builds the ARCB for one or more machines: 304 bytes, 80 for each host key, 16 for the nonce.
    ///
    /// # Errors
    /// [`BuildError::HostKeys`] unless there are 1 to 255 host keys.
    pub fn seal(&self, secrets: &RequestSecrets, hosts: &[HostPublicKey]) -> Result<Vec<u8>, BuildError> {
        let mut flags = self.flags;
        flags.set(AttestationFlags::NONCE, self.nonce.is_some());
        let mut before_keys = [0; CUSTOMER_AT - size_of::<crate::owner::request::RequestHeader>()];
        before_keys[..8].copy_from_slice(U64::new(flags.bits()).as_bytes());
        before_keys[8..12].copy_from_slice(U32::new(MEASUREMENT_HMAC_SHA512).as_bytes());
        let mut secret = Zeroizing::new(Vec::with_capacity(AREA_WITH_NONCE));
        secret.extend_from_slice(self.measurement_key.expose());
        if let Some(nonce) = &self.nonce {
            secret.extend_from_slice(nonce.expose());
        }
        let parts = RequestParts { magic: [0; 8], before_keys: &before_keys, after_keys: &[], secret: &secret };
        seal(&parts, secrets, hosts)
    }
}

/// View of an ARCB whose layout was found consistent. Flags and algorithm may still be unknown ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arcb<'a> {
    head: &'a ArcbHead,
    sealed: SealedRequest<'a>,
}

/// Content of an opened ARCB.
#[derive(Debug, Clone)]
pub struct OpenedArcb {
    /// The flags of the request, unknown bits included.
    pub flags: AttestationFlags,
    /// Key of the measurement.
    pub measurement_key: MeasurementKey,
    /// The nonce, if the request has one.
    pub nonce: Option<Nonce>,
}

impl<'a> Arcb<'a> {
    /// Reads a request. All of [`ArcbHead::check_layout`], then: not a byte less or more than the length stated.
    ///
    /// # Errors
    /// Those of [`ArcbHead::check_layout`]; [`ArcbError::Length`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ArcbError> {
        let actual = bytes.len();
        let (head, _) = ArcbHead::ref_from_prefix(bytes).map_err(|_| ArcbError::Length { stated: 0, actual })?;
        let stated = head.header.size.get();
        let wrong = ArcbError::Length { stated, actual };
        let layout = head.check_layout().map_err(|error| match error {
            ArcbError::Length { .. } => wrong,
            other => other,
        })?;
        if layout.size != actual {
            return Err(wrong);
        }
        let sealed = SealedRequest::split(bytes, CUSTOMER_AT, layout.encrypted_size).ok_or(wrong)?;
        Ok(Self { head, sealed })
    }

    /// The first 64 bytes, with the checks of flags and algorithm.
    #[must_use]
    pub const fn head(&self) -> &'a ArcbHead {
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

    /// The tag of the request.
    #[must_use]
    pub const fn tag(&self) -> &'a [u8; 16] {
        self.sealed.tag
    }

    /// Opens with the request key, as the guest owner does.
    ///
    /// # Errors
    /// [`ArcbError::Unseal`].
    pub fn open_with_key(&self, key: &RequestKey) -> Result<OpenedArcb, ArcbError> {
        self.content(&self.sealed.open_with_key(key)?)
    }

    /// Opens with a machine's host keys, as the Ultravisor does. Also says which host key it was.
    ///
    /// # Errors
    /// [`ArcbError::Unseal`] (0x10c).
    pub fn open<'k>(
        &self,
        host_keys: impl IntoIterator<Item = &'k HostPrivateKey>,
    ) -> Result<(OpenedArcb, Phkh), ArcbError> {
        let opened = self.sealed.open(host_keys)?;
        Ok((self.content(&opened.plaintext)?, opened.host_key))
    }

    fn content(&self, plaintext: &[u8]) -> Result<OpenedArcb, ArcbError> {
        let wrong = |_| ArcbError::EncryptedSize(self.head.header.encrypted_size.get());
        let (key, nonce) = plaintext.split_at(AREA_PLAIN.min(plaintext.len()));
        let nonce = if nonce.is_empty() { None } else { Some(Nonce::from_slice(nonce).map_err(wrong)?) };
        Ok(OpenedArcb {
            flags: self.head.attestation_flags(),
            measurement_key: MeasurementKey::from_slice(key).map_err(wrong)?,
            nonce,
        })
    }
}
