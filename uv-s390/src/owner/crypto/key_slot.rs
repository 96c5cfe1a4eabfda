//! Key slots: the request key, wrapped for one machine.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::coordinates::{Coordinates, Phkh};
use super::error::SlotError;
use super::gcm;
use super::kdf::wrapping_key;
use super::private_key::{CustomerKeyPair, HostPrivateKey};
use super::public_key::HostPublicKey;
use super::secret_bytes::{RequestKey, SecretBytes, SharedSecret};

/// Bytes of a key slot of header and request version 0x100.
pub const KEY_SLOT_SIZE: usize = 80;

/// The wrapping key serves one slot only, so that the IV is constant.
const IV: [u8; gcm::IV_SIZE] = [0; gcm::IV_SIZE];

/// Key slot (s390-formats §1), 80 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct KeySlot {
    /// Which host key can open the slot.
    pub phkh: Phkh,
    /// The request or header key, encrypted.
    pub wrapped_key: [u8; 32],
    /// GCM tag of the wrapped key.
    pub tag: [u8; gcm::TAG_SIZE],
}

const _: () = {
    assert!(size_of::<KeySlot>() == KEY_SLOT_SIZE);
    assert!(core::mem::offset_of!(KeySlot, phkh) == 0);
    assert!(core::mem::offset_of!(KeySlot, wrapped_key) == 32);
    assert!(core::mem::offset_of!(KeySlot, tag) == 64);
};

impl KeySlot {
    /// Wraps `key` for the machine with the host key `host`. `customer` is the document's key pair.
    #[must_use]
    pub fn seal(customer: &CustomerKeyPair, host: &HostPublicKey, key: &RequestKey) -> Self {
        let wrapping = wrapping_key(&customer.shared_secret(host));
        let mut wrapped_key = *key.expose();
        let tag = gcm::seal(&wrapping, &IV, &[], &mut wrapped_key);
        Self { phkh: host.phkh(), wrapped_key, tag }
    }

    /// Unwraps the request key with a machine's private key. The slot's PHKH is not looked at.
    ///
    /// # Errors
    /// [`SlotError::CustomerKey`] if `customer` is no point of the curve, [`SlotError::Tag`] if the slot was made
    /// for another host key or was changed.
    pub fn open(&self, host: &HostPrivateKey, customer: &Coordinates) -> Result<RequestKey, SlotError> {
        let z = host.shared_secret(customer).map_err(|_| SlotError::CustomerKey)?;
        self.open_with_shared_secret(&z)
    }

    fn open_with_shared_secret(&self, z: &SharedSecret) -> Result<RequestKey, SlotError> {
        let mut key = SecretBytes::new(self.wrapped_key);
        gcm::open(&wrapping_key(z), &IV, &[], key.expose_mut(), &self.tag).map_err(|_| SlotError::Tag)?;
        Ok(key)
    }
}

/// A request key and the host key that gave it.
#[derive(Debug, Clone)]
pub struct OpenedSlot {
    /// The unwrapped request or header key.
    pub key: RequestKey,
    /// Hash of the host key that opened the slot (what attestation reports).
    pub host_key: Phkh,
}

/// Finds the slot for one of the machine's host keys and opens it.
///
/// `host_keys` stand in the order the machine prefers them; for each key all slots that name it are tried, since a
/// host key may appear more than once.
///
/// # Errors
/// [`SlotError::NoMatchingSlot`] if no slot names one of the keys (this is said before the customer key is looked
/// at), [`SlotError::CustomerKey`], or [`SlotError::Tag`] if every slot that names a key fails to verify.
pub fn open_slots<'k>(
    slots: &[KeySlot],
    customer: &Coordinates,
    host_keys: impl IntoIterator<Item = &'k HostPrivateKey>,
) -> Result<OpenedSlot, SlotError> {
    let mut outcome = SlotError::NoMatchingSlot;
    for host in host_keys {
        let host_key = host.public().phkh();
        let mut own = slots.iter().filter(|slot| slot.phkh == host_key).peekable();
        if own.peek().is_none() {
            continue;
        }
        let z = host.shared_secret(customer).map_err(|_| SlotError::CustomerKey)?;
        for slot in own {
            match slot.open_with_shared_secret(&z) {
                Ok(key) => return Ok(OpenedSlot { key, host_key }),
                Err(error) => outcome = error,
            }
        }
    }
    Err(outcome)
}

#[cfg(test)]
mod tests {
    use super::super::vectors;
    use super::*;

    #[test]
    fn known_slot() {
        let slot = vectors::slot();
        assert_eq!(slot.phkh.0[..], vectors::bytes(vectors::PHKH));
        assert_eq!(slot.wrapped_key[..], vectors::bytes(vectors::WRAPPED));
        assert_eq!(slot.tag[..], vectors::bytes(vectors::SLOT_TAG));
        let key = slot.open(&vectors::host_private(), &vectors::customer_pair().coordinates()).unwrap();
        assert_eq!(key, RequestKey::new(vectors::seq(0)));
    }

    #[test]
    fn every_changed_bit_is_refused() {
        let (host, customer) = (vectors::host_private(), vectors::customer_pair().coordinates());
        let z = host.shared_secret(&customer).unwrap();
        let good: [u8; 80] = vectors::slot().as_bytes().try_into().unwrap();
        for bit in 32 * 8..80 * 8 {
            let mut bytes = good;
            bytes[bit / 8] ^= 1 << (bit % 8);
            let slot = KeySlot::read_from_bytes(&bytes).unwrap();
            assert_eq!(slot.open_with_shared_secret(&z).unwrap_err(), SlotError::Tag);
        }
    }

    #[test]
    fn the_right_slot_is_found_among_others() {
        let (host, customer) = (vectors::host_private(), vectors::customer_pair());
        let other = HostPrivateKey::from_scalar(&[5; 40]).unwrap();
        let key = RequestKey::new(vectors::seq(0));
        let foreign = KeySlot::seal(&customer, &other.public(), &key);
        let mut broken = vectors::slot();
        broken.tag[0] ^= 1;
        let point = customer.coordinates();

        let opened = open_slots(&[foreign, broken, vectors::slot()], &point, [&host]).unwrap();
        assert_eq!((opened.key, opened.host_key), (key, host.public().phkh()));
        let first = open_slots(&[foreign, vectors::slot()], &point, [&other, &host]).unwrap();
        assert_eq!(first.host_key, other.public().phkh());

        assert_eq!(open_slots(&[foreign], &point, [&host]).unwrap_err(), SlotError::NoMatchingSlot);
        assert_eq!(open_slots(&[], &point, [&host]).unwrap_err(), SlotError::NoMatchingSlot);
        assert_eq!(open_slots(&[foreign, broken], &point, [&host]).unwrap_err(), SlotError::Tag);
        let bad = Coordinates { x: [0; 80], y: [1; 80] };
        assert_eq!(open_slots(&[foreign], &bad, [&host]).unwrap_err(), SlotError::NoMatchingSlot);
        assert_eq!(open_slots(&[vectors::slot()], &bad, [&host]).unwrap_err(), SlotError::CustomerKey);
    }
}
