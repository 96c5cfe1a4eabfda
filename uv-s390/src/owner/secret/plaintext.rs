//! Encoding of plaintext secrets: length, content, zeros up to a multiple of 16 (s390-formats §9.3, §9.5).

use alloc::vec::Vec;

use zeroize::Zeroizing;

use crate::abi::secret::MAX_PLAINTEXT;
use crate::owner::crypto::BadLength;

/// Bytes of the length in front.
const LENGTH: usize = 2;

/// Puts the length in front and fills up to a multiple of 16 bytes.
///
/// # Errors
/// [`BadLength`] for more than 8190 bytes (`expected` is the limit).
pub fn encode_plaintext(content: &[u8]) -> Result<Zeroizing<Vec<u8>>, BadLength> {
    let too_long = BadLength { expected: MAX_PLAINTEXT, actual: content.len() };
    if content.len() > MAX_PLAINTEXT {
        return Err(too_long);
    }
    let length = u16::try_from(content.len()).map_err(|_| too_long)?;
    let size = (LENGTH + content.len()).next_multiple_of(16);
    let mut encoded = Zeroizing::new(Vec::with_capacity(size));
    encoded.extend_from_slice(&length.to_be_bytes());
    encoded.extend_from_slice(content);
    encoded.resize(size, 0);
    Ok(encoded)
}

/// Takes the content out. `None` unless the length is at most 8190, fewer than 16 bytes follow the content, and those
/// are zero.
#[must_use]
pub fn decode_plaintext(encoded: &[u8]) -> Option<&[u8]> {
    let (length, rest) = encoded.split_first_chunk::<LENGTH>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    let (content, fill) = rest.split_at_checked(length)?;
    let fits = length <= MAX_PLAINTEXT && fill.len() < 16 && fill.iter().all(|&byte| byte == 0);
    fits.then_some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_round_trips() {
        for length in (0..70).chain([8189, 8190]) {
            let content = alloc::vec![7u8; length];
            let encoded = encode_plaintext(&content).unwrap();
            assert_eq!(encoded.len() % 16, 0);
            assert!(encoded.len() - length < 18);
            assert_eq!(decode_plaintext(&encoded), Some(content.as_slice()));
        }
        let error = encode_plaintext(&[0; 8191]).unwrap_err();
        assert_eq!((error.expected, error.actual), (8190, 8191));
    }

    #[test]
    fn odd_buffers_are_not_unwrapped() {
        let good = encode_plaintext(b"content").unwrap();
        let mut dirty = good.clone();
        *dirty.last_mut().unwrap() = 1;
        assert_eq!(decode_plaintext(&dirty), None);
        let mut long = good.clone();
        long.resize(7 + 2 + 16, 0);
        assert_eq!(decode_plaintext(&long), None);
        assert_eq!(decode_plaintext(&good[..8]), None);
        assert_eq!(decode_plaintext(&[0]), None);
        assert_eq!(decode_plaintext(&[0, 0]), Some(&[][..]));
        let mut too_much = alloc::vec![0; 2 + 8191];
        too_much[..2].copy_from_slice(&8191u16.to_be_bytes());
        assert_eq!(decode_plaintext(&too_much), None);
    }
}
