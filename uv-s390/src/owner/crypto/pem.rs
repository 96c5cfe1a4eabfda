//! PEM blocks inside arbitrary text.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::error::KeyError;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// Does the input look like PEM text (and not like DER)?
pub(crate) fn is_pem(input: &[u8]) -> bool {
    find(input, BEGIN).is_some()
}

/// The first block whose label is one of `labels`: its label and its DER content. Text before, between and after
/// blocks is skipped.
pub(crate) fn first_block(mut input: &[u8], labels: &[&str]) -> Result<(String, Zeroizing<Vec<u8>>), KeyError> {
    while let Some(start) = find(input, BEGIN) {
        let block = &input[start..];
        let end = find(block, END).ok_or(KeyError::Pem)?;
        let dashes = find(&block[end + END.len()..], b"-----").ok_or(KeyError::Pem)?;
        let length = end + END.len() + dashes + 5;
        let (block, rest) = block.split_at(length);
        let label = der::pem::decode_label(block).map_err(|_| KeyError::Pem)?;
        if labels.contains(&label) {
            let (_, content) = der::pem::decode_vec(block).map_err(|_| KeyError::Pem)?;
            return Ok((label.to_string(), Zeroizing::new(content)));
        }
        input = rest;
    }
    Err(KeyError::Pem)
}
