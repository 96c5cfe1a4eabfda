//! The 512 bytes of user data: plain, or signed (s390-formats §9.4).

use alloc::vec::Vec;
use core::ops::Range;

use super::head::CUSTOMER_AT;
use super::sign::SignatureError;
use crate::owner::crypto::gcm::TAG_SIZE;

/// Bytes of the user data area of a request.
pub const USER_DATA_SIZE: usize = 512;
/// Offset of the area in the request.
const AREA_AT: usize = CUSTOMER_AT - USER_DATA_SIZE;
/// Room for a DER-encoded ECDSA signature on P-521.
pub(super) const EC_SIGNATURE_SIZE: usize = 139;
/// Where the length of that signature stands in the area.
pub(super) const EC_LENGTH: Range<usize> = 400..402;

/// Kind of the user data; unknown kinds survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UserDataKind(pub u16);

impl UserDataKind {
    /// No user data.
    pub const NONE: Self = Self(0);
    /// Up to 512 bytes, not signed.
    pub const UNSIGNED: Self = Self(1);
    /// Up to 256 bytes, signed with ECDSA on P-521.
    pub const SIGNED_EC_P521: Self = Self(2);
    /// Up to 256 bytes, signed with RSA-2048 (PSS).
    pub const SIGNED_RSA_2048: Self = Self(3);
    /// Up to 128 bytes, signed with RSA-3072 (PSS).
    pub const SIGNED_RSA_3072: Self = Self(4);

    /// Most bytes of data in this kind; `None` for kinds unknown.
    #[must_use]
    pub const fn max_data(self) -> Option<usize> {
        Some(match self {
            Self::NONE => 0,
            Self::UNSIGNED => USER_DATA_SIZE,
            Self::SIGNED_EC_P521 | Self::SIGNED_RSA_2048 => 256,
            Self::SIGNED_RSA_3072 => 128,
            _ => return None,
        })
    }

    /// Is the data signed?
    #[must_use]
    pub const fn is_signed(self) -> bool {
        matches!(self, Self::SIGNED_EC_P521 | Self::SIGNED_RSA_2048 | Self::SIGNED_RSA_3072)
    }

    /// Bytes of signed data.
    fn signed_data(self) -> Result<usize, SignatureError> {
        self.max_data().filter(|_| self.is_signed()).ok_or(SignatureError::NotSigned)
    }
}

/// Splits the area into data (with its zero fill) and signature.
pub(super) fn split(kind: UserDataKind, area: &[u8; USER_DATA_SIZE]) -> Result<(&[u8], &[u8]), SignatureError> {
    let (data, rest) = area.split_at(kind.signed_data()?);
    let signature = if kind == UserDataKind::SIGNED_EC_P521 {
        let length = area[EC_LENGTH].iter().fold(0, |length, &byte| length << 8 | usize::from(byte));
        rest.get(..length).filter(|_| length <= EC_SIGNATURE_SIZE).ok_or(SignatureError::Mismatch)?
    } else {
        rest
    };
    Ok((data, signature))
}

/// Writes the signature into the area.
pub(super) fn insert(
    kind: UserDataKind,
    area: &mut [u8; USER_DATA_SIZE],
    signature: &[u8],
) -> Result<(), SignatureError> {
    let start = kind.signed_data()?;
    let room = if kind == UserDataKind::SIGNED_EC_P521 { EC_SIGNATURE_SIZE } else { USER_DATA_SIZE - start };
    let length = u16::try_from(signature.len()).map_err(|_| SignatureError::Sign)?;
    let space = area.get_mut(start..start + signature.len()).filter(|space| space.len() <= room);
    space.ok_or(SignatureError::Sign)?.copy_from_slice(signature);
    if kind == UserDataKind::SIGNED_EC_P521 {
        area[EC_LENGTH].copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

/// What is signed: the request without its tag, with everything behind the data part of the user data set to zero.
pub(super) fn message(kind: UserDataKind, request: &[u8]) -> Result<Vec<u8>, SignatureError> {
    let data = kind.signed_data()?;
    let mut message = request.to_vec();
    message.truncate(request.len().saturating_sub(TAG_SIZE));
    message.get_mut(AREA_AT + data..CUSTOMER_AT).ok_or(SignatureError::Mismatch)?.fill(0);
    Ok(message)
}
