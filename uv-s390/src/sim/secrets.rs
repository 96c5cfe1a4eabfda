//! The secret store of a guest.

use alloc::vec::Vec;

use crate::abi::secret::SecretEntry;
use crate::owner::crypto::{Cck, SecretBytes};
use crate::owner::secret::GuestSecret;

/// A secret that can be listed.
pub(crate) struct Stored {
    pub(crate) entry: SecretEntry,
    pub(crate) secret: GuestSecret,
}

/// What add-secret requests have left.
#[derive(Default)]
pub(crate) struct SecretStore {
    /// Listed secrets, in the order of their indexes.
    pub(crate) secrets: Vec<Stored>,
    /// Tags of all requests that were accepted, in their order.
    pub(crate) tags: Vec<[u8; 16]>,
    pub(crate) locked: bool,
    /// The operator allows no changes.
    pub(crate) closed: bool,
    /// The extension secret that the first request fixed.
    pub(crate) extension: Option<SecretBytes<32>>,
    /// The customer communication key, when a request has replaced the one of the SE header.
    pub(crate) cck: Option<Cck>,
    /// A request has forbidden dumps.
    pub(crate) no_dump: bool,
}

impl SecretStore {
    /// The entries, for a list.
    pub(crate) fn entries(&self) -> Vec<SecretEntry> {
        self.secrets.iter().map(|stored| stored.entry).collect()
    }
}
