//! The machine's wrapping key in the host's TPM, and the way to it through the hypervisor (power-pef §4.7, §13). The ultravisor's end of it
//! is `esm::tpm`, the TPM's is [`Tpm`](chip::Tpm).
//!
//! The firmware that starts the ultravisor makes a password for the key and tells it to the TPM and to the ultravisor alone ([`TpmKey`](key::TpmKey)). The
//! ultravisor then has a lockbox opened like this; every line but the last is one `H_SVM_TPM_COMM` to execute a command:
//!
//! | # | command | what the ultravisor makes of the answer |
//! |---|---|---|
//! | 1 | `TPM2_ReadPublic` | the name is the key's, and the digest of the public area |
//! | 2 | `TPM2_StartAuthSession`: policy, SHA-256, AES-128-CFB, no salt, not bound | session and the TPM's nonce |
//! | 3 | `TPM2_PolicyCommandCode(TPM2_RSA_Decrypt)` | |
//! | 4 | `TPM2_PolicyAuthValue` | |
//! | 5 | `TPM2_PolicyOR` of the key's two policies | |
//! | 6 | `TPM2_RSA_Decrypt` with a new nonce, the HMAC over all of it, the response encrypted | HMAC over the nonces compared, then decrypted |
//! | 7 | `TPM2_FlushContext` | |
//! | 8 | operation close | |
//!
//! The hypervisor carries all of it and learns nothing: the response is encrypted with a key that comes of the password and both nonces, and
//! it is acknowledged with an HMAC of the same. Whatever is changed, kept back or repeated ends the transition.
//!
//! UNSURE: what a hypervisor can send of its own accord. An error code of the TPM is not acknowledged by anything, so it proves nothing:
//! the hypervisor can always refuse, and only that. A response whose length is not the one of its header, or more than 4096 bytes, is refused;
//! the published code stops there. So is a refused close, as in the published code.

pub(crate) mod chip;
mod decrypt;
pub(crate) mod failure;
pub(crate) mod key;
pub(crate) mod session;
#[cfg(test)]
mod tests;
pub(crate) mod wire;
