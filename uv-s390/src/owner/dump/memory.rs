//! Reading the pages of a dump.

use core::fmt;

use uv_crypto::XtsKey;

use super::completion::CompletionSecrets;
use crate::abi::dump::StorageState;

/// Bytes of a page.
pub const DUMP_PAGE_SIZE: usize = 4096;

/// Expanded memory key of a dump.
pub struct DumpMemoryKey {
    key: XtsKey,
    nonce: [u8; 16],
}

impl DumpMemoryKey {
    /// Expands the key found in the completion data.
    #[must_use]
    pub fn new(secrets: &CompletionSecrets) -> Self {
        Self { key: XtsKey::new(secrets.memory_key.expose()), nonce: secrets.nonce }
    }

    /// Turns a page of the dump into a page of the guest, in place. There is no check: with another key or a changed page
    /// the result is noise.
    pub fn decrypt_page(&self, state: &StorageState, page: &mut [u8; DUMP_PAGE_SIZE]) {
        match state {
            StorageState::Encrypted(component) => {
                self.key.decrypt_page_in_place(component.tweak(&self.nonce), page).expect("4096 bytes are a valid page")
            }
            StorageState::Zero { .. } => page.fill(0),
            StorageState::Shared { .. } => {}
        }
    }

    /// Turns a page of the guest into a page of the dump, in place. A zero page's content is dropped.
    pub fn encrypt_page(&self, state: &StorageState, page: &mut [u8; DUMP_PAGE_SIZE]) {
        match state {
            StorageState::Encrypted(component) => {
                self.key.encrypt_page_in_place(component.tweak(&self.nonce), page).expect("4096 bytes are a valid page")
            }
            StorageState::Zero { .. } => page.fill(0),
            StorageState::Shared { .. } => {}
        }
    }
}

impl fmt::Debug for DumpMemoryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DumpMemoryKey(..)")
    }
}
