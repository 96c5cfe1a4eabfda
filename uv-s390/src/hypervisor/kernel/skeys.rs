//! Storage keys of guest pages. A guest of this library does not use them; user space sets them and accesses storage with an
//! access key.

use alloc::collections::BTreeMap;

use uv_core::Gfn;

use super::{HostError, Vm};

/// Bits 0–3 of a storage key: access control.
const ACCESS_CONTROL: u8 = 0xf0;
/// Bit 4: fetch protection.
const FETCH_PROTECTION: u8 = 0x08;

/// The keys that are not 0.
#[derive(Debug, Default)]
pub(super) struct StorageKeys {
    /// Some were set: the process uses storage keys from then on.
    used: bool,
    keys: BTreeMap<Gfn, u8>,
}

impl Vm {
    /// Whether storage keys were ever set.
    #[must_use]
    pub fn uses_storage_keys(&self) -> bool {
        self.storage_keys.lock().used
    }

    /// The storage key of a page: access control, fetch protection, reference and change in bits 0 to 6.
    ///
    /// # Errors
    /// [`HostError::Fault`] for a page in no slot.
    pub fn storage_key(&self, gfn: Gfn) -> Result<u8, HostError> {
        self.slots().host_page(gfn).ok_or(HostError::Fault(gfn))?;
        Ok(self.storage_keys.lock().keys.get(&gfn).copied().unwrap_or(0))
    }

    /// Sets the storage key of a page.
    ///
    /// # Errors
    /// As [`Vm::storage_key`].
    pub fn set_storage_key(&self, gfn: Gfn, key: u8) -> Result<(), HostError> {
        self.slots().host_page(gfn).ok_or(HostError::Fault(gfn))?;
        let mut all = self.storage_keys.lock();
        all.used = true;
        all.keys.insert(gfn, key);
        Ok(())
    }

    /// Does something to guest storage that no other exchange comes between.
    pub(crate) fn exchanging<T>(&self, act: impl FnOnce() -> T) -> T {
        let _exchange = self.exchange.lock();
        act()
    }

    /// Whether an access key opens a page: key 0 and the page's own do; for a fetch any does without fetch protection.
    pub(crate) fn key_permits(&self, gfn: Gfn, key: u8, store: bool) -> bool {
        let of_page = self.storage_key(gfn).unwrap_or(0);
        let fetchable = !store && of_page & FETCH_PROTECTION == 0;
        key == 0 || (of_page & ACCESS_CONTROL) >> 4 == key || fetchable
    }
}
