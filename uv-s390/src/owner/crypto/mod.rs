//! Keys and ciphers of the Secure Execution formats (s390-formats §1).
//!
//! Who uses it: the other modules of the owner, and tools that hold keys.
//!
//! Everything the guest owner sends to an Ultravisor (SE header, attestation request, add-secret
//! request) is protected the same way: a random 32-byte *request key* encrypts and authenticates the
//! document with AES-256-GCM, and that key travels inside the document once per target machine, in an
//! 80-byte [`KeySlot`]. A slot is opened with the machine's private host key only.
//!
//! | item | here |
//! |---|---|
//! | host key of a machine, public half (from a certificate, SPKI or coordinates) | [`HostPublicKey`] |
//! | host key of a machine, private half (Ultravisor side only) | [`HostPrivateKey`] |
//! | the owner's fresh key pair, one per document | [`CustomerKeyPair`] |
//! | 160-byte point encoding and its SHA-256 | [`Coordinates`], [`Phkh`] |
//! | ECDH result `Z`, and the key made from it | [`SharedSecret`], [`wrapping_key`] |
//! | key slot | [`KeySlot`], [`open_slots`] |
//! | AES-256-GCM with detached tag | [`gcm::seal`], [`gcm::open`] |
//! | HKDF-SHA-512 | [`hkdf_sha512`] |
//! | secrets | [`SecretBytes`], [`Cck`] |
//!
//! Wrapping a request key for a machine and getting it back there:
//!
//! ```
//! use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
//! use uv_s390::owner::crypto::{CustomerKeyPair, HostPrivateKey, KeySlot, RequestKey, open_slots};
//!
//! let mut rng = ChaCha20Rng::from_seed([7; 32]);
//! let machine = HostPrivateKey::generate(&mut rng); // lives in firmware
//! let host_key = machine.public(); // published in the machine's certificate
//!
//! let customer = CustomerKeyPair::generate(&mut rng);
//! let key = RequestKey::random(&mut rng);
//! let slot = KeySlot::seal(&customer, &host_key, &key);
//!
//! let opened = open_slots(&[slot], &customer.coordinates(), [&machine])?;
//! assert_eq!(opened.key, key);
//! assert_eq!(opened.host_key, host_key.phkh());
//! # Ok::<(), uv_s390::owner::crypto::SlotError>(())
//! ```

mod coordinates;
mod error;
pub mod gcm;
mod kdf;
mod key_slot;
pub(crate) mod pem;
mod private_key;
mod public_key;
mod secret_bytes;

#[cfg(test)]
pub(crate) mod vectors;

pub use coordinates::{Coordinates, Phkh};
pub use error::{BadLength, KeyError, SlotError};
pub use kdf::{hkdf_sha512, wrapping_key};
pub use key_slot::{KEY_SLOT_SIZE, KeySlot, OpenedSlot, open_slots};
pub use private_key::{CustomerKeyPair, HostPrivateKey};
pub use public_key::HostPublicKey;
pub use secret_bytes::{Cck, MeasurementKey, PageKey, RequestKey, SecretBytes, SharedSecret};
