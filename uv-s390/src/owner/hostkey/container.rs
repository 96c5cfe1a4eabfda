//! Files of certificates and revocation lists: PEM with several blocks and text between them, or DER.

use alloc::string::String;
use alloc::vec::Vec;

use der::pem::{Decoder, LineEnding};

use super::error::ParseError;

/// Longest input of certificates or revocation lists that is read, in bytes.
///
/// The revocation lists of public certificate authorities have some megabytes.
pub const MAX_INPUT: usize = 16 << 20;

/// Largest number of PEM blocks read from one input.
pub const MAX_BLOCKS: usize = 256;

const BEGIN: &[u8] = b"-----BEGIN ";
const DASHES: &[u8] = b"-----";
const CERTIFICATE: &str = "CERTIFICATE";
const CRL: &str = "X509 CRL";

/// What one input holds, still as DER.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Certificates in their order.
    pub(super) certificates: Vec<Vec<u8>>,
    /// Revocation lists in their order.
    pub(super) crls: Vec<Vec<u8>>,
    /// The whole input, when it is DER: one structure of a kind only the caller knows.
    pub(super) der: Option<Vec<u8>>,
}

/// Takes an input apart. Blocks with other labels (keys, parameters) are passed over.
///
/// # Errors
/// [`ParseError::TooLarge`], [`ParseError::TooManyBlocks`], [`ParseError::Pem`].
pub(super) fn read(input: &[u8]) -> Result<Contents, ParseError> {
    if input.len() > MAX_INPUT {
        return Err(ParseError::TooLarge { actual: input.len(), limit: MAX_INPUT });
    }
    let mut contents = Contents::default();
    // A DER SEQUENCE of more than 127 bytes; its second byte is no text.
    if let [0x30, length, ..] = input
        && *length >= 0x80
    {
        contents.der = Some(input.to_vec());
        return Ok(contents);
    }
    let mut rest = input;
    for _ in 0..MAX_BLOCKS {
        let Some((label, block, after)) = next_block(rest)? else {
            return Ok(contents);
        };
        let list = match label {
            b"CERTIFICATE" | b"X509 CERTIFICATE" => &mut contents.certificates,
            b"X509 CRL" => &mut contents.crls,
            _ => {
                rest = after;
                continue;
            }
        };
        let mut bytes = Vec::new();
        Decoder::new_detect_wrap(block)
            .and_then(|mut decoder| decoder.decode_to_end(&mut bytes).map(|_| ()))
            .map_err(|_| ParseError::Pem)?;
        list.push(bytes);
        rest = after;
    }
    match next_block(rest)? {
        Some(_) => Err(ParseError::TooManyBlocks { limit: MAX_BLOCKS }),
        None => Ok(contents),
    }
}

/// Label, whole text and rest behind the next block.
type Block<'a> = (&'a [u8], &'a [u8], &'a [u8]);

fn next_block(input: &[u8]) -> Result<Option<Block<'_>>, ParseError> {
    let Some(start) = find(input, BEGIN) else {
        return Ok(None);
    };
    let block = &input[start..];
    let after_begin = &block[BEGIN.len()..];
    let label = find(after_begin.get(..128).unwrap_or(after_begin), DASHES)
        .map(|end| &after_begin[..end])
        .ok_or(ParseError::Pem)?;
    let end_line = [b"-----END ", label, DASHES].concat();
    let end = find(block, &end_line).ok_or(ParseError::Pem)? + end_line.len();
    Ok(Some((label, &block[..end], &block[end..])))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// The PEM text of a DER certificate.
pub(super) fn certificate_pem(der: &[u8]) -> String {
    encode(CERTIFICATE, der)
}

/// The PEM text of a DER revocation list.
pub(super) fn crl_pem(der: &[u8]) -> String {
    encode(CRL, der)
}

fn encode(label: &str, der: &[u8]) -> String {
    der::pem::encode_string(label, LineEnding::LF, der)
        .expect("inputs are at most MAX_INPUT bytes and the labels are valid")
}
