//! Attestation: the request (ARCB), the measurement, the file it all travels in (s390-formats §8).
//!
//! The guest owner builds an ARCB with [`AttestationRequest::seal`] and keeps the request key. In the guest the
//! Ultravisor opens it ([`Arcb::open`]) and computes a [`Measurement`] over the image's digests, the id of the running
//! guest and whatever was asked for. Back at the owner, [`verify`] does the same computation.
//!
//! For the Ultravisor side the checks come apart in the order of its return codes: [`ArcbHead::check_layout`] (0x106,
//! 0x107, 0x108, 0x109) works on the first 64 bytes and says how long the request is, then
//! [`ArcbHead::check_flags`] (0x10a), [`ArcbHead::check_algorithm`] (0x10b), [`Arcb::parse`], [`Arcb::open`] (0x10c).

mod additional;
mod arcb;
mod error;
mod exchange;
mod head;
mod measure;
mod verify;

#[cfg(test)]
mod tests;

pub use additional::{AdditionalData, FIRMWARE_STATE_SIZE, FirmwareState, SECRET_STORE_HASH_SIZE, secret_store_hash};
pub use arcb::{Arcb, AttestationRequest, Nonce, OpenedArcb};
pub use error::ArcbError;
pub use exchange::{Entry, ExchangeError, ExchangeFile, ExchangeResponse};
pub use head::{ArcbHead, ArcbLayout, AttestationFlags, MEASUREMENT_HMAC_SHA512};
pub use measure::{MAX_USER_DATA_SIZE, MEASUREMENT_SIZE, Measured, Measurement};
pub use verify::{Verdict, Verification, VerifyError, verify};
