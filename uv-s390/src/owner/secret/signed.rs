//! Signed user data: what is signed, and where the signature stands (s390-formats §9.4).

use alloc::vec::Vec;
use core::ops::Range;

use super::head::CUSTOMER_AT;
use super::sign::SignatureError;
use super::user_data::{USER_DATA_SIZE, UserDataKind};
use crate::owner::crypto::gcm::TAG_SIZE;

/// Offset of the area in the request.
const AREA_AT: usize = CUSTOMER_AT - USER_DATA_SIZE;
/// Room for a DER-encoded ECDSA signature on P-521.
pub(super) const EC_SIGNATURE_SIZE: usize = 139;
/// Where the length of that signature stands in the area.
pub(super) const EC_LENGTH: Range<usize> = 400..402;

/// Bytes of signed data.
fn signed_data(kind: UserDataKind) -> Result<usize, SignatureError> {
    kind.max_data().filter(|_| kind.is_signed()).ok_or(SignatureError::NotSigned)
}

/// Splits the area into data (with its zero fill) and signature.
pub(super) fn split(kind: UserDataKind, area: &[u8; USER_DATA_SIZE]) -> Result<(&[u8], &[u8]), SignatureError> {
    let (data, rest) = area.split_at(signed_data(kind)?);
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
    let start = signed_data(kind)?;
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
    let data = signed_data(kind)?;
    let mut message = request.to_vec();
    message.truncate(request.len().saturating_sub(TAG_SIZE));
    message.get_mut(AREA_AT + data..CUSTOMER_AT).ok_or(SignatureError::Mismatch)?.fill(0);
    Ok(message)
}
