//! Secrets that come back from the Ultravisor (s390-formats §9.5).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use der::pem::LineEnding;
use zeroize::Zeroizing;

use super::plaintext::decode_plaintext;
use crate::abi::secret::SecretEntry;
use crate::abi::secret::SecretType;

/// Largest buffer of a retrieve call, in bytes.
pub const MAX_RETRIEVE_SIZE: usize = 8192;
const PROTECTED_LABEL: &str = "IBM PROTECTED KEY";
const PLAINTEXT_LABEL: &str = "PLAINTEXT SECRET";

/// Buffer for retrieving a listed secret: its index in the first two bytes, room for the answer.
#[must_use]
pub fn retrieve_buffer(entry: &SecretEntry) -> Vec<u8> {
    let length = usize::try_from(entry.length.get()).unwrap_or(MAX_RETRIEVE_SIZE);
    let index = entry.index.get().to_be_bytes();
    let mut buffer = Vec::with_capacity(MAX_RETRIEVE_SIZE);
    buffer.extend_from_slice(&index);
    buffer.resize(length.clamp(index.len(), MAX_RETRIEVE_SIZE), 0);
    buffer
}

/// A retrieved secret. Its `Debug` does not show the content.
#[derive(Clone, PartialEq, Eq)]
pub enum RetrievedSecret {
    /// Content of a plaintext secret, without length and fill. A buffer that is not in this encoding is kept whole.
    Plaintext(Zeroizing<Vec<u8>>),
    /// A key wrapped by the firmware; only this machine's instructions can use it.
    ProtectedKey {
        /// Type of the secret.
        kind: SecretType,
        /// The wrapped key.
        key: Zeroizing<Vec<u8>>,
    },
}

impl RetrievedSecret {
    /// Takes the answer of a retrieve call.
    #[must_use]
    pub fn decode(kind: SecretType, answer: &[u8]) -> Self {
        match kind {
            SecretType::PLAINTEXT => {
                let content = decode_plaintext(answer).unwrap_or(answer);
                Self::Plaintext(Zeroizing::new(content.to_vec()))
            }
            _ => Self::ProtectedKey { kind, key: Zeroizing::new(answer.to_vec()) },
        }
    }

    /// The content.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        match self {
            Self::Plaintext(content) | Self::ProtectedKey { key: content, .. } => content,
        }
    }

    /// The secret as PEM text: `IBM PROTECTED KEY` with a header line that names the type, or `PLAINTEXT SECRET`.
    ///
    /// # Errors
    /// [`fmt::Error`] if the content is too long for PEM.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, fmt::Error> {
        let encode = |label| {
            der::pem::encode_string(label, LineEnding::LF, self.expose()).map(Zeroizing::new).map_err(|_| fmt::Error)
        };
        match self {
            Self::Plaintext(_) => encode(PLAINTEXT_LABEL),
            Self::ProtectedKey { kind, .. } => {
                let mut text = encode(PROTECTED_LABEL)?;
                let first_line = text.find('\n').ok_or(fmt::Error)? + 1;
                text.insert_str(first_line, &format!("kind: {kind}\n\n"));
                Ok(text)
            }
        }
    }
}

impl fmt::Debug for RetrievedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Plaintext(_) => SecretType::PLAINTEXT,
            Self::ProtectedKey { kind, .. } => *kind,
        };
        write!(f, "RetrievedSecret({kind}, {} bytes)", self.expose().len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::encode_plaintext;
    use super::*;
    use crate::abi::secret::SecretId;

    #[test]
    fn buffer_sizes() {
        let entry = |length| SecretEntry::new(0x0203, SecretType::PLAINTEXT, length, SecretId::default());
        for (length, size) in [(0, 2), (1, 2), (16, 16), (8192, 8192), (8193, 8192), (u32::MAX, 8192)] {
            let buffer = retrieve_buffer(&entry(length));
            assert_eq!((buffer.len(), &buffer[..2]), (size, &[2, 3][..]));
        }
    }

    #[test]
    fn plaintext_is_unwrapped() {
        let answer = encode_plaintext(b"hello").unwrap();
        let secret = RetrievedSecret::decode(SecretType::PLAINTEXT, &answer);
        assert_eq!(secret.expose(), b"hello");
        assert_eq!(
            *secret.to_pem().unwrap(),
            "-----BEGIN PLAINTEXT SECRET-----\naGVsbG8=\n-----END PLAINTEXT SECRET-----\n"
        );
        let raw = RetrievedSecret::decode(SecretType::PLAINTEXT, &[0xff; 20]);
        assert_eq!(raw.expose(), [0xff; 20]);
        assert_eq!(format!("{raw:?}"), "RetrievedSecret(PLAINTEXT, 20 bytes)");
    }

    #[test]
    fn protected_keys_carry_their_type() {
        let secret = RetrievedSecret::decode(SecretType::AES_256, &[0; 49]);
        let text = secret.to_pem().unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..3], ["-----BEGIN IBM PROTECTED KEY-----", "kind: AES-256-KEY", ""]);
        assert_eq!((lines[3].len(), lines[4]), (64, "AA=="));
        assert_eq!(lines[5], "-----END IBM PROTECTED KEY-----");
    }
}
