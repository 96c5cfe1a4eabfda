//! Sealing a request.

use alloc::vec::Vec;

use rand_core::CryptoRng;
use thiserror::Error;
use zerocopy::IntoBytes;
use zerocopy::byteorder::big_endian::U32;
use zeroize::Zeroizing;

use super::header::{MAX_REQUEST_SIZE, REQUEST_HEADER_SIZE, REQUEST_VERSION_1, RequestHeader};
use crate::owner::crypto::gcm::{self, IV_SIZE, TAG_SIZE};
use crate::owner::crypto::{CustomerKeyPair, HostPublicKey, KEY_SLOT_SIZE, KeySlot, RequestKey};

/// A request cannot be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// There must be at least one host key and at most 255.
    #[error("a request takes 1 to 255 host keys, not {0}")]
    HostKeys(usize),
    /// The request would be longer than 1 MiB.
    #[error("the request would be {0} bytes long, more than 1 MiB")]
    TooLong(usize),
}

/// What the guest owner draws anew for every request. Never use one value for two requests.
#[derive(Debug, Clone)]
pub struct RequestSecrets {
    /// AES-GCM initialisation vector.
    pub iv: [u8; IV_SIZE],
    /// Key of the encrypted area (the `--arpk` file of an attestation request).
    pub key: RequestKey,
    /// Key pair that wraps `key` for each host key.
    pub customer: CustomerKeyPair,
}

impl RequestSecrets {
    /// Draws all three.
    pub fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut iv = [0; IV_SIZE];
        rng.fill_bytes(&mut iv);
        Self { iv, key: RequestKey::random(rng), customer: CustomerKeyPair::generate(rng) }
    }
}

/// The parts of a request that depend on its type.
pub(crate) struct RequestParts<'a> {
    pub(crate) magic: [u8; 8],
    /// Between the header and the customer key.
    pub(crate) before_keys: &'a [u8],
    /// Between the key slots and the encrypted area.
    pub(crate) after_keys: &'a [u8],
    /// Plaintext of the encrypted area.
    pub(crate) secret: &'a [u8],
}

/// Lays out, encrypts and authenticates a request. The tag is the last 16 bytes.
pub(crate) fn seal(
    parts: &RequestParts<'_>,
    secrets: &RequestSecrets,
    hosts: &[HostPublicKey],
) -> Result<Vec<u8>, BuildError> {
    let key_slots = match u8::try_from(hosts.len()) {
        Ok(count) if count > 0 => count,
        _ => return Err(BuildError::HostKeys(hosts.len())),
    };
    let customer = secrets.customer.coordinates();
    let encrypted_at = REQUEST_HEADER_SIZE
        + parts.before_keys.len()
        + size_of_val(&customer)
        + hosts.len() * KEY_SLOT_SIZE
        + parts.after_keys.len();
    let total = encrypted_at + parts.secret.len() + TAG_SIZE;
    let too_long = |_| BuildError::TooLong(total);
    if total > MAX_REQUEST_SIZE {
        return Err(BuildError::TooLong(total));
    }
    let header = RequestHeader {
        magic: parts.magic,
        version: U32::new(REQUEST_VERSION_1),
        size: U32::new(u32::try_from(total).map_err(too_long)?),
        iv: secrets.iv,
        reserved28: [0; 11],
        key_slots,
        reserved40: [0; 4],
        encrypted_size: U32::new(u32::try_from(parts.secret.len()).map_err(too_long)?),
    };
    // The full capacity is there from the start: no plaintext is left behind by a growing vector.
    let mut request = Vec::with_capacity(total);
    request.extend_from_slice(header.as_bytes());
    request.extend_from_slice(parts.before_keys);
    request.extend_from_slice(customer.as_bytes());
    for host in hosts {
        request.extend_from_slice(KeySlot::seal(&secrets.customer, host, &secrets.key).as_bytes());
    }
    request.extend_from_slice(parts.after_keys);
    request.extend_from_slice(parts.secret);
    let (aad, area) = request.split_at_mut(encrypted_at);
    let tag = gcm::seal(&secrets.key, &secrets.iv, aad, area);
    request.extend_from_slice(&tag);
    Ok(request)
}

/// Changes authenticated fields of a request just sealed, and computes its tag again. The ciphertext stays the same; the
/// request with the old tag must not be given away.
pub(crate) fn reseal<E>(
    request: &mut [u8],
    encrypted_size: usize,
    secrets: &RequestSecrets,
    change: impl FnOnce(&mut [u8]) -> Result<(), E>,
) -> Result<(), E> {
    let (aad, rest) = request.split_at_mut(request.len() - encrypted_size - TAG_SIZE);
    let (ciphertext, tag) = rest.split_at_mut(encrypted_size);
    let mut area = Zeroizing::new(ciphertext.to_vec());
    let mut old_tag = [0; TAG_SIZE];
    old_tag.copy_from_slice(tag);
    gcm::open(&secrets.key, &secrets.iv, aad, &mut area, &old_tag).expect("the request was sealed with these secrets");
    change(aad)?;
    tag.copy_from_slice(&gcm::seal(&secrets.key, &secrets.iv, aad, &mut area));
    Ok(())
}
