//! The measurement: HMAC-SHA-512 over what the Ultravisor knows about the guest (s390-formats §8.3).

use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha512;
use subtle::ConstantTimeEq;
use zerocopy::IntoBytes;
use zerocopy::byteorder::big_endian::{U16, U32};

use super::arcb::Nonce;
use crate::owner::crypto::{BadLength, MeasurementKey};
use crate::owner::request::{ConfigUid, ImageIdentity};

/// Bytes of a measurement.
pub const MEASUREMENT_SIZE: usize = 64;
/// Most user data the guest may add, in bytes.
pub const MAX_USER_DATA_SIZE: usize = 256;
/// Most additional data, in bytes.
const MAX_ADDITIONAL_SIZE: usize = 0x8000;

/// A measurement, 64 bytes. Compares in constant time.
#[derive(Clone, Copy)]
pub struct Measurement(pub [u8; MEASUREMENT_SIZE]);

impl PartialEq for Measurement {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Measurement {}

impl fmt::Debug for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Measurement({})", hex::encode(self.0))
    }
}

/// Everything that is measured.
#[derive(Debug, Clone, Copy)]
pub struct Measured<'a> {
    /// Digests and tag of the image's SE header.
    pub image: &'a ImageIdentity,
    /// Id of the running guest.
    pub cuid: &'a ConfigUid,
    /// Data the guest adds, at most 256 bytes.
    pub user_data: &'a [u8],
    /// Nonce of the request.
    pub nonce: Option<&'a Nonce>,
    /// Additional data as reported, at most 32768 bytes.
    pub additional: &'a [u8],
}

impl Measured<'_> {
    /// Computes the measurement.
    ///
    /// # Errors
    /// [`BadLength`] if user data or additional data is longer than allowed (`expected` is the limit).
    pub fn measure(&self, key: &MeasurementKey) -> Result<Measurement, BadLength> {
        for (length, limit) in
            [(self.user_data.len(), MAX_USER_DATA_SIZE), (self.additional.len(), MAX_ADDITIONAL_SIZE)]
        {
            if length > limit {
                return Err(BadLength { expected: limit, actual: length });
            }
        }
        let too_long = |actual| move |_| BadLength { expected: MAX_ADDITIONAL_SIZE, actual };
        let user_length = u16::try_from(self.user_data.len()).map_err(too_long(self.user_data.len()))?;
        let additional_length = u32::try_from(self.additional.len()).map_err(too_long(self.additional.len()))?;

        let mut mac = Hmac::<Sha512>::new_from_slice(key.expose()).expect("HMAC takes a key of any length");
        mac.update(self.image.as_bytes());
        mac.update(&self.cuid.0);
        mac.update(U16::new(user_length).as_bytes());
        mac.update(&[0; 2]);
        mac.update(U32::new(additional_length).as_bytes());
        mac.update(self.user_data);
        if let Some(nonce) = self.nonce {
            mac.update(nonce.expose());
        }
        mac.update(self.additional);
        Ok(Measurement(mac.finalize().into_bytes().into()))
    }
}
