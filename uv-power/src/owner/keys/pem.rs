//! PEM blocks, with the header lines that encrypted PKCS#1 keys carry.

use alloc::string::String;
use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::KeyError;
use super::encrypted::Encryption;

/// One block of a PEM file.
pub(super) struct Pem<'a> {
    /// `X` of `BEGIN X`.
    pub(super) label: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    base64: Vec<&'a str>,
}

impl<'a> Pem<'a> {
    /// The first block of a file; text around it is passed over.
    pub(super) fn find(file: &'a [u8]) -> Result<Self, KeyError> {
        let text = core::str::from_utf8(file).map_err(|_| KeyError::NotPem)?;
        let mut lines = text.lines().map(str::trim);
        let label =
            lines.find_map(|line| line.strip_prefix("-----BEGIN ")?.strip_suffix("-----")).ok_or(KeyError::NotPem)?;
        let mut pem = Self { label, headers: Vec::new(), base64: Vec::new() };
        for line in lines {
            if let Some(end) = line.strip_prefix("-----END ") {
                let closed = end.strip_suffix("-----") == Some(label);
                return if closed { Ok(pem) } else { Err(KeyError::NotPem) };
            }
            match line.split_once(':') {
                Some((name, value)) => pem.headers.push((name.trim(), value.trim())),
                None if line.is_empty() => {}
                None => pem.base64.push(line),
            }
        }
        Err(KeyError::NotPem)
    }

    /// The bytes of the block, decrypted or not.
    pub(super) fn decode(&self) -> Result<Vec<u8>, KeyError> {
        // Put together anew in the strict form, whatever line width and line ends the file has.
        let joined = Zeroizing::new(self.base64.concat());
        let mut strict = Zeroizing::new(String::with_capacity(joined.len() + joined.len() / 32 + 40));
        strict.push_str("-----BEGIN X-----\n");
        for chunk in joined.as_bytes().chunks(64) {
            strict.push_str(core::str::from_utf8(chunk).map_err(|_| KeyError::NotPem)?);
            strict.push('\n');
        }
        strict.push_str("-----END X-----\n");
        der::pem::decode_vec(strict.as_bytes()).map(|(_, bytes)| bytes).map_err(|_| KeyError::NotPem)
    }

    /// How the block is encrypted; `None` if it has no `Proc-Type: 4,ENCRYPTED` line.
    pub(super) fn encryption(&self) -> Result<Option<Encryption>, KeyError> {
        let header = |name: &str| self.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        match header("Proc-Type") {
            None => Ok(None),
            Some("4,ENCRYPTED") => {
                Encryption::from_dek_info(header("DEK-Info").ok_or(KeyError::UnsupportedEncryption)?).map(Some)
            }
            Some(_) => Err(KeyError::UnsupportedEncryption),
        }
    }
}
