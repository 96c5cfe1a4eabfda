//! The list of host key hashes that a machine shows to its guests.
//!
//! Source: s390-formats §5.

use alloc::vec::Vec;

use thiserror::Error;

use crate::abi::se_header::SeHeader;
use crate::owner::crypto::Phkh;

/// Lines of a key-hash file.
const LINES: usize = 15;

/// A key-hash file is not 15 lines of 64 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyHashesError {
    /// Another number of lines.
    #[error("a key-hash file has {LINES} lines, this one has {0}")]
    Lines(usize),
    /// A line, counted from 1, is not 64 hex digits.
    #[error("line {0} of the key-hash file is not 64 hex digits")]
    Line(usize),
}

/// The contents of `/sys/firmware/uv/keys/all`: host key hash, backup host key hash, 13 reserved ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHashes(Vec<Phkh>);

impl KeyHashes {
    /// Reads the text: exactly 15 lines of 64 hex digits; one line feed may end the last.
    ///
    /// # Errors
    /// [`KeyHashesError`].
    pub fn parse(text: &[u8]) -> Result<Self, KeyHashesError> {
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let lines = text.split(|&byte| byte == b'\n').count();
        if lines != LINES {
            return Err(KeyHashesError::Lines(lines));
        }
        let hash = |(index, line): (usize, &[u8])| {
            let mut hash = [0; 32];
            hex::decode_to_slice(line, &mut hash).map_err(|_| KeyHashesError::Line(index + 1))?;
            Ok(Phkh(hash))
        };
        text.split(|&byte| byte == b'\n').enumerate().map(hash).collect::<Result<_, _>>().map(Self)
    }

    /// The 15 hashes in order.
    #[must_use]
    pub fn hashes(&self) -> &[Phkh] {
        &self.0
    }

    /// Whether a slot of the header names any of the hashes: the image can start on this machine, as
    /// far as plain data can tell.
    #[must_use]
    pub fn any_in(&self, header: &SeHeader) -> bool {
        self.0.iter().any(|hash| header.has_slot_for(hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn exactly_fifteen_lines() {
        let line = "ab".repeat(32) + "\n";
        let hashes = KeyHashes::parse(line.repeat(15).as_bytes()).unwrap();
        assert_eq!(hashes.hashes(), [Phkh([0xab; 32]); 15]);
        assert_eq!(KeyHashes::parse(line.repeat(15).trim_end().as_bytes()), Ok(hashes));
        assert_eq!(KeyHashes::parse(line.repeat(14).as_bytes()), Err(KeyHashesError::Lines(14)));
        assert_eq!(KeyHashes::parse(line.repeat(16).as_bytes()), Err(KeyHashesError::Lines(16)));
        assert_eq!(KeyHashes::parse(b""), Err(KeyHashesError::Lines(1)));
        let mut wrong: String = line.repeat(15);
        wrong.replace_range(65..67, "xy");
        assert_eq!(KeyHashes::parse(wrong.as_bytes()), Err(KeyHashesError::Line(2)));
        let short = line.repeat(14) + "abcd";
        assert_eq!(KeyHashes::parse(short.as_bytes()), Err(KeyHashesError::Line(15)));
    }
}
