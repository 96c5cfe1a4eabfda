//! Ids made from names.

use sha2::{Digest, Sha256};

use crate::abi::secret::SecretId;

impl SecretId {
    /// Id of a named secret: SHA-256 of the name's UTF-8 bytes.
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        Self(Sha256::digest(name.as_bytes()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_of_a_name() {
        assert_eq!(
            alloc::format!("{}", SecretId::of_name("my secret")),
            "0xb9d1d013f600ec1bf16bae6a3634cad15dcc490c9f2835764201a41a1d70de44"
        );
    }
}
