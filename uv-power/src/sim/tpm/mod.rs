//! The machine's wrapping key in the host's TPM, and the way to it through the hypervisor (power-pef §4.7, §13).
//!
//! The firmware that starts the ultravisor makes a password for the key and tells it to the TPM and to the ultravisor alone ([`TpmKey`]). The
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

mod chip;
mod session;
mod unwrap;
mod wire;

use alloc::boxed::Box;
use alloc::vec::Vec;

use uv_crypto::digest::sha256;
use zeroize::Zeroizing;

use super::sharing::Lost;
use crate::abi::codes::HvCode;
use crate::owner::keys::{KeyError, PrivateKey};
pub use chip::Tpm;
use session::Digest;
pub(crate) use unwrap::Channel;
use wire::{Reader, Writer};

/// Handle of the wrapping key.
const HANDLE: u32 = 0x8180_0001;

/// The exponent that a public area means by 0.
const USUAL_EXPONENT: u32 = 65537;

/// The policy by which the password can be changed once, at the start of the machine (power-pef §13, policy B).
const POLICY_B: Digest = [
    0x97, 0x95, 0xd7, 0x8f, 0x53, 0xde, 0x94, 0x40, 0x18, 0x99, 0xcc, 0x2d, 0x5b, 0xa7, 0x60, 0x07, 0xb3, 0xd4, 0xda,
    0xd8, 0x5b, 0xf9, 0x5c, 0xab, 0xee, 0xba, 0x04, 0xd0, 0xf9, 0x8b, 0x50, 0x2e,
];

/// Where the machine's wrapping key is.
#[derive(Clone, Debug)]
pub enum WrappingKey {
    /// The ultravisor holds it itself: a software model's way.
    Held(Box<PrivateKey>),
    /// The host's TPM holds it, as on hardware.
    Tpm(TpmKey),
}

impl From<PrivateKey> for WrappingKey {
    fn from(key: PrivateKey) -> Self {
        Self::Held(Box::new(key))
    }
}

impl From<TpmKey> for WrappingKey {
    fn from(key: TpmKey) -> Self {
        Self::Tpm(key)
    }
}

/// What the ultravisor knows of a key in the TPM: the node `ibm,uv-tpm` that firmware hands over (power-pef §10.2). The password is a secret
/// between firmware, ultravisor and TPM.
#[derive(Clone)]
pub struct TpmKey {
    handle: u32,
    password: Zeroizing<Vec<u8>>,
    /// Algorithm and digest of the public area.
    name: Vec<u8>,
    policies: [Digest; 2],
}

impl core::fmt::Debug for TpmKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TpmKey").field("handle", &self.handle).finish_non_exhaustive()
    }
}

/// The name of a public area.
fn name_of(public: &[u8]) -> Vec<u8> {
    Writer::default().u16(wire::ALG_SHA256).bytes(&sha256(&[public])).done()
}

/// Modulus and exponent in the public area of an RSA key, as [`Tpm`] makes it.
fn numbers_of(public: &[u8]) -> Option<(&[u8], u32)> {
    let mut reader = Reader(public);
    let (kind, name_alg, _attributes) = (reader.u16()?, reader.u16()?, reader.u32()?);
    reader.sized()?;
    let symmetric = reader.u16()?;
    let scheme = (reader.u16()?, reader.u16()?);
    let (_bits, exponent) = (reader.u16()?, reader.u32()?);
    let modulus = reader.sized()?;
    let known = kind == wire::ALG_RSA
        && name_alg == wire::ALG_SHA256
        && symmetric == wire::ALG_NULL
        && scheme == (wire::ALG_OAEP, wire::ALG_SHA256)
        && reader.is_empty();
    known.then_some((modulus, if exponent == 0 { USUAL_EXPONENT } else { exponent }))
}

/// Why the host's TPM did not open a lockbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TpmFailure {
    /// The hypervisor refused `H_SVM_TPM_COMM`.
    #[error("the hypervisor answered H_SVM_TPM_COMM with {0}")]
    Hypercall(HvCode),
    /// The page for commands and responses cannot be reached.
    #[error("no buffer for the TPM: {0}")]
    Buffer(&'static str),
    /// A response that is none to the command.
    #[error("malformed response to {0}")]
    Malformed(&'static str),
    /// The TPM refused a command, or the hypervisor says so.
    #[error("{command} ended with {code:#x}")]
    Refused {
        /// The command.
        command: &'static str,
        /// The TPM's response code.
        code: u32,
    },
    /// The TPM has another key than the machine was started with.
    #[error("the key in the TPM is not the machine's")]
    Name,
    /// The response was not made by the TPM for this command: changed, of an earlier command, or made up.
    #[error("the response is not the TPM's answer to this command")]
    Authentication,
}

impl From<KeyError> for TpmFailure {
    fn from(_: KeyError) -> Self {
        Self::Name
    }
}

impl From<Lost> for TpmFailure {
    fn from(Lost(why): Lost) -> Self {
        Self::Buffer(why)
    }
}
