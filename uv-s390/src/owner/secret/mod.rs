//! Secrets of a running guest: add-secret requests, the secret list, retrieved secrets (s390-formats §9).
//!
//! Who uses it: who gives a guest secrets, and the Ultravisor, which keeps them.
//!
//! The guest owner builds an add-secret request (ASRCB) with [`AddSecretRequest`]: bound to one image, if wanted to one
//! running guest, carrying one [`GuestSecret`]. The guest hands it to the Ultravisor, which opens it ([`Asrcb::open`])
//! and keeps the secret in the guest's secret store.
//!
//! For the Ultravisor side the checks come in the order of its return codes: [`AsrcbHead::check_layout`] on the first
//! 1048 bytes (0x104, 0x105, 0x106) says how long the request is; then [`AsrcbHead::check_flags`] (0x107),
//! [`Asrcb::parse`], and [`Asrcb::open`] (0x108, 0x109, 0x10a).

//!
//! ```
//! use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
//! use uv_s390::abi::secret::SecretId;
//! use uv_s390::owner::crypto::{Cck, HostPrivateKey};
//! use uv_s390::owner::request::{ConfigUid, ImageIdentity, RequestSecrets};
//! use uv_s390::owner::secret::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut rng = ChaCha20Rng::from_seed([1; 32]);
//! let machine = HostPrivateKey::generate(&mut rng);
//! let image = ImageIdentity { pld: [1; 64], ald: [2; 64], tld: [3; 64], tag: [4; 16] };
//! let cck = Cck::random(&mut rng);
//!
//! // The owner asks.
//! let request = AddSecretRequest {
//!     image,
//!     cuid: ConfigUid::ANY,
//!     flags: AddSecretFlags::empty(),
//!     secret: GuestSecret::plaintext(SecretId::of_name("greeting"), b"hello")?,
//!     extension: ExtensionSecret::Derived(cck.clone()),
//! };
//! let asrcb = request.seal(&UserData::None, &RequestSecrets::random(&mut rng), &[machine.public()])?;
//!
//! // The Ultravisor takes the secret.
//! let parsed = Asrcb::parse(&asrcb)?;
//! parsed.head().check_flags(AddSecretFlags::DISABLE_DUMP)?;
//! assert!(parsed.head().is_for_image(&image));
//! let (opened, _) = parsed.open([&machine])?;
//! assert_eq!(opened.extension, ExtensionSecret::derive(&cck, &image.tag));
//! assert_eq!(decode_plaintext(opened.secret.expose()), Some(&b"hello"[..]));
//! # Ok(())
//! # }
//! ```

mod asrcb;
mod build;
mod ec_key;
mod error;
mod extension;
mod head;
mod id;
mod plaintext;
mod retrieve;
mod side_file;
mod sign;
mod signed;
mod user_data;
mod value;

#[cfg(test)]
mod tests;

pub use asrcb::{Asrcb, OpenedAsrcb};
pub use build::{AddSecretError, AddSecretRequest, UserData, policy_user_data};
pub use error::AsrcbError;
pub use extension::ExtensionSecret;
pub use head::{AddSecretFlags, AsrcbHead, AsrcbLayout};
pub use plaintext::{decode_plaintext, encode_plaintext};
pub use retrieve::{MAX_RETRIEVE_SIZE, RetrievedSecret, retrieve_buffer};
pub use side_file::{side_file, side_file_name};
pub use sign::{SignatureError, UserDataSigner, UserDataVerifier};
pub use user_data::{USER_DATA_SIZE, UserDataKind};
pub use value::{GuestSecret, SecretLength};
