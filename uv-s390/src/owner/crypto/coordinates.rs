//! The 160-byte point encoding and its hash.

use core::fmt;

use p521::elliptic_curve::sec1::ToSec1Point;
use sha2::{Digest, Sha256};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::error::KeyError;

/// Bytes of a P-521 field element.
const FIELD: usize = 66;
/// Bytes of one coordinate in the encoding.
const PADDED: usize = 80;
/// Zero bytes in front of a coordinate.
const PADDING: usize = PADDED - FIELD;

/// A P-521 point as the formats store it: x left-padded with zeros to 80 bytes, then y likewise (s390-formats §1).
///
/// The bytes may come from outside: whether they are a point of the curve shows when they are used as a key.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Coordinates {
    /// x, big endian, left-padded.
    pub x: [u8; PADDED],
    /// y, big endian, left-padded.
    pub y: [u8; PADDED],
}

const _: () = {
    assert!(size_of::<Coordinates>() == 160);
    assert!(core::mem::offset_of!(Coordinates, x) == 0);
    assert!(core::mem::offset_of!(Coordinates, y) == 80);
};

impl Coordinates {
    /// Public host key hash of this point: SHA-256 over the 160 bytes.
    #[must_use]
    pub fn phkh(&self) -> Phkh {
        Phkh(Sha256::digest(self.as_bytes()).into())
    }

    /// The point, checked to lie on the curve.
    pub(super) fn to_key(self) -> Result<p521::PublicKey, KeyError> {
        let (x_pad, x) = self.x.split_at(PADDING);
        let (y_pad, y) = self.y.split_at(PADDING);
        if x_pad.iter().chain(y_pad).any(|&byte| byte != 0) {
            return Err(KeyError::NotOnCurve);
        }
        let mut sec1 = [0u8; 1 + 2 * FIELD];
        sec1[0] = 4; // uncompressed
        sec1[1..=FIELD].copy_from_slice(x);
        sec1[1 + FIELD..].copy_from_slice(y);
        p521::PublicKey::from_sec1_bytes(&sec1).map_err(|_| KeyError::NotOnCurve)
    }

    /// The encoding of a point.
    pub(super) fn of_key(key: &p521::PublicKey) -> Self {
        let point = key.to_sec1_point(false);
        let mut coordinates = Self { x: [0; PADDED], y: [0; PADDED] };
        // An uncompressed point is 0x04, x, y.
        if let [_, xy @ ..] = point.as_bytes() {
            let (x, y) = xy.split_at(FIELD);
            coordinates.x[PADDING..].copy_from_slice(x);
            coordinates.y[PADDING..].copy_from_slice(y);
        }
        coordinates
    }
}

impl fmt::Debug for Coordinates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Coordinates({})", hex::encode(self.as_bytes()))
    }
}

/// Public host key hash (PHKH): names a machine's host key in key slots and in attestation results.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(transparent)]
pub struct Phkh(pub [u8; 32]);

impl fmt::Display for Phkh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Phkh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Phkh({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::super::vectors;
    use super::*;

    #[test]
    fn known_phkh() {
        let coordinates = vectors::host_private().public().coordinates();
        assert_eq!(coordinates.x[14..], vectors::bytes(vectors::HOST_X));
        assert_eq!(coordinates.y[14..], vectors::bytes(vectors::HOST_Y));
        assert_eq!(coordinates.x[..14], [0; 14]);
        assert_eq!(coordinates.phkh().0[..], vectors::bytes(vectors::PHKH));
        assert_eq!(alloc::format!("{}", coordinates.phkh()), vectors::PHKH);
    }

    #[test]
    fn bytes_that_are_no_point_are_refused() {
        let good = vectors::host_private().public().coordinates();
        assert!(good.to_key().is_ok());
        for index in 0..160 {
            let mut bytes: [u8; 160] = good.as_bytes().try_into().unwrap();
            bytes[index] ^= 1;
            let bad = Coordinates::read_from_bytes(&bytes).unwrap();
            assert_eq!(bad.to_key().unwrap_err(), KeyError::NotOnCurve, "byte {index}");
        }
        let zero = Coordinates { x: [0; 80], y: [0; 80] };
        assert_eq!(zero.to_key().unwrap_err(), KeyError::NotOnCurve);
    }
}
