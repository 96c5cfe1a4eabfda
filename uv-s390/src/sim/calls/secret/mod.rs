//! The guest's secret store.

mod add;
mod list;
mod lock;
mod retrieve;

#[cfg(test)]
pub(in crate::sim) mod tests;

pub(in crate::sim) use add::add;
pub(in crate::sim) use list::list;
pub(in crate::sim) use lock::lock;
pub(in crate::sim) use retrieve::retrieve;

use super::super::secrets::SecretStore;
use crate::abi::secret::SecretType;
use crate::owner::secret::GuestSecret;

/// Bytes that wrapping adds to a key.
const WRAPPING: usize = 32;

/// Bytes of a secret as RETR_SECRET gives it: plaintext as it was sent, keys wrapped.
fn retrieved_len(secret: &GuestSecret) -> usize {
    let plain = secret.expose().len();
    if secret.kind().is_retrievable() && secret.kind() != SecretType::PLAINTEXT { plain + WRAPPING } else { plain }
}

/// How many stored secrets are of the same class: association, or retrievable.
fn count_like(store: &SecretStore, kind: SecretType) -> usize {
    store.secrets.iter().filter(|stored| stored.secret.kind().is_retrievable() == kind.is_retrievable()).count()
}
