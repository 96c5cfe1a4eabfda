//! Where the machine's wrapping key is, and what the ultravisor knows of one in the TPM.

use alloc::boxed::Box;
use alloc::vec::Vec;

use uv_crypto::digest::sha256;
use zeroize::Zeroizing;

use super::session::Digest;
use super::wire::{self, Reader, Writer};
use crate::owner::keys::PrivateKey;

/// Handle of the wrapping key.
pub(super) const HANDLE: u32 = 0x8180_0001;

/// The exponent that a public area means by 0.
pub(super) const USUAL_EXPONENT: u32 = 65537;

/// The policy by which the password can be changed once, at the start of the machine (power-pef §13, policy B).
pub(super) const POLICY_B: Digest = [
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
    pub(crate) handle: u32,
    pub(crate) password: Zeroizing<Vec<u8>>,
    /// Algorithm and digest of the public area.
    pub(crate) name: Vec<u8>,
    pub(crate) policies: [Digest; 2],
}

impl core::fmt::Debug for TpmKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TpmKey").field("handle", &self.handle).finish_non_exhaustive()
    }
}

/// The name of a public area.
pub(crate) fn name_of(public: &[u8]) -> Vec<u8> {
    Writer::default().u16(wire::ALG_SHA256).bytes(&sha256(&[public])).done()
}

/// Modulus and exponent in the public area of an RSA key, as [`Tpm`] makes it.
pub(crate) fn numbers_of(public: &[u8]) -> Option<(&[u8], u32)> {
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
