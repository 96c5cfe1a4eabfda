//! Attestation: the request (ARCB), the measurement, the file it all travels in (s390-formats §8).
//!
//! Who uses it: who wants proof of what runs, and the Ultravisor, which measures.
//!
//! The guest owner builds an ARCB with [`AttestationRequest::seal`] and keeps the request key. In the guest the
//! Ultravisor opens it ([`Arcb::open`]) and computes a [`Measurement`] over the image's digests, the id of the running
//! guest and whatever was asked for. Back at the owner, [`verify`] does the same computation.
//!
//! For the Ultravisor side the checks come apart in the order of its return codes: [`ArcbHead::check_layout`] (0x106,
//! 0x107, 0x108, 0x109) works on the first 64 bytes and says how long the request is, then
//! [`ArcbHead::check_flags`] (0x10a), [`ArcbHead::check_algorithm`] (0x10b), [`Arcb::parse`], [`Arcb::open`] (0x10c).

//!
//! ```
//! use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
//! use uv_s390::owner::attest::*;
//! use uv_s390::owner::crypto::HostPrivateKey;
//! use uv_s390::owner::request::{ConfigUid, ImageIdentity, RequestSecrets};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut rng = ChaCha20Rng::from_seed([1; 32]);
//! let machine = HostPrivateKey::generate(&mut rng);
//! let image = ImageIdentity { pld: [1; 64], ald: [2; 64], tld: [3; 64], tag: [4; 16] };
//!
//! // The owner asks.
//! let secrets = RequestSecrets::random(&mut rng);
//! let request = AttestationRequest::random(AttestationFlags::ATTESTATION_PHKH, &mut rng);
//! let arcb = request.seal(&secrets, &[machine.public()])?;
//!
//! // The Ultravisor answers.
//! let parsed = Arcb::parse(&arcb)?;
//! parsed.head().check_flags(AttestationFlags::KNOWN)?;
//! parsed.head().check_algorithm()?;
//! let (opened, phkh) = parsed.open([&machine])?;
//! let cuid = ConfigUid([7; 16]);
//! let additional = AdditionalData { attestation_phkh: Some(phkh), ..AdditionalData::default() }.encode();
//! let measured = Measured {
//!     image: &image,
//!     cuid: &cuid,
//!     user_data: b"hello",
//!     nonce: opened.nonce.as_ref(),
//!     additional: &additional,
//! };
//! let measurement = measured.measure(&opened.measurement_key)?;
//!
//! // The owner checks.
//! let response = ExchangeResponse {
//!     arcb,
//!     measurement: measurement.0.to_vec(),
//!     additional,
//!     user_data: b"hello".to_vec(),
//!     cuid,
//! };
//! let result = verify(&response, &secrets.key, &image)?;
//! assert_eq!(result.verdict, Verdict::Verified);
//! assert_eq!(result.fields.attestation_phkh, Some(machine.public().phkh()));
//! # Ok(())
//! # }
//! ```

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
