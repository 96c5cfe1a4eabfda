//! Secrets of a running guest: add-secret requests, the secret list, retrieved secrets (s390-formats §9).
//!
//! The guest owner builds an add-secret request (ASRCB) with [`AddSecretRequest`]: bound to one image, if wanted to one
//! running guest, carrying one [`GuestSecret`]. The guest hands it to the Ultravisor, which opens it ([`Asrcb::open`])
//! and keeps the secret in the guest's secret store.
//!
//! For the Ultravisor side the checks come in the order of its return codes: [`AsrcbHead::check_layout`] on the first
//! 1048 bytes (0x104, 0x105, 0x106) says how long the request is; then [`AsrcbHead::check_flags`] (0x107),
//! [`Asrcb::parse`], and [`Asrcb::open`] (0x108, 0x109, 0x10a).

mod asrcb;
mod build;
mod error;
mod extension;
mod head;
mod id;
mod kind;
mod list;
mod plaintext;
mod retrieve;
mod side_file;
mod sign;
mod user_data;
mod value;

#[cfg(test)]
mod tests;

pub use asrcb::{Asrcb, OpenedAsrcb};
pub use build::{AddSecretError, AddSecretRequest, UserData, policy_user_data};
pub use error::AsrcbError;
pub use extension::ExtensionSecret;
pub use head::{AddSecretFlags, AsrcbHead, AsrcbLayout};
pub use id::SecretId;
pub use kind::SecretType;
pub use list::{LIST_ENTRIES_PER_PAGE, LIST_PAGE_SIZE, ListError, SecretEntry, SecretList};
pub use plaintext::{MAX_PLAINTEXT, decode_plaintext, encode_plaintext};
pub use retrieve::{MAX_RETRIEVE_SIZE, RetrievedSecret, retrieve_buffer};
pub use side_file::{side_file, side_file_name};
pub use sign::{SignatureError, UserDataSigner, UserDataVerifier};
pub use user_data::{USER_DATA_SIZE, UserDataKind};
pub use value::{GuestSecret, SecretLength};
