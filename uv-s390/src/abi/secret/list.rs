//! The list of a guest's secrets (s390-formats §9.5).

use alloc::vec::Vec;

use thiserror::Error;
use zerocopy::byteorder::big_endian::{U16, U32};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::id::SecretId;
use super::kind::SecretType;

/// Bytes of one list page.
pub const LIST_PAGE_SIZE: usize = 4096;
/// Entries one list page can hold.
pub const LIST_ENTRIES_PER_PAGE: usize = 85;
const HEAD: usize = 16;

/// Head of a list, 16 bytes.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ListHead {
    /// Entries in this list.
    pub entries: U16,
    /// Secrets in the store.
    pub total: U16,
    /// Where the next list goes on; 0 at the end.
    pub next_index: U16,
    reserved6: [u8; 10],
}

/// One secret in a list, 48 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SecretEntry {
    /// Index in the guest's secret store; what a retrieve call names.
    pub index: U16,
    /// [`SecretType`].
    pub kind: U16,
    /// Bytes of the secret as a retrieve call gives it.
    pub length: U32,
    /// Zero.
    pub reserved8: [u8; 8],
    /// Id of the secret.
    pub id: SecretId,
}

const _: () = {
    assert!(size_of::<ListHead>() == HEAD);
    assert!(core::mem::offset_of!(ListHead, entries) == 0);
    assert!(core::mem::offset_of!(ListHead, total) == 2);
    assert!(core::mem::offset_of!(ListHead, next_index) == 4);
    assert!(core::mem::offset_of!(ListHead, reserved6) == 6);
    assert!(size_of::<SecretEntry>() == 48);
    assert!(core::mem::offset_of!(SecretEntry, index) == 0);
    assert!(core::mem::offset_of!(SecretEntry, kind) == 2);
    assert!(core::mem::offset_of!(SecretEntry, length) == 4);
    assert!(core::mem::offset_of!(SecretEntry, reserved8) == 8);
    assert!(core::mem::offset_of!(SecretEntry, id) == 16);
    assert!(HEAD + LIST_ENTRIES_PER_PAGE * size_of::<SecretEntry>() == LIST_PAGE_SIZE);
};

impl SecretEntry {
    /// An entry.
    #[must_use]
    pub const fn new(index: u16, kind: SecretType, length: u32, id: SecretId) -> Self {
        Self { index: U16::new(index), kind: U16::new(kind.0), length: U32::new(length), reserved8: [0; 8], id }
    }

    /// Type of the secret.
    #[must_use]
    pub const fn secret_type(&self) -> SecretType {
        SecretType(u16::from_be_bytes(self.kind.to_bytes()))
    }
}

/// A list cannot be read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ListError {
    /// The buffer is shorter than 16 bytes, or than the number of entries says.
    #[error("the secret list says {entries} entries, the buffer has {bytes} bytes")]
    Truncated {
        /// Entries stated.
        entries: u16,
        /// Bytes of the buffer.
        bytes: usize,
    },
    /// More entries than a list can count or a buffer can hold.
    #[error("{0} entries do not fit in the secret list")]
    TooMany(usize),
}

/// Secrets of a guest: one page of the Ultravisor, or several pages put together by the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecretList {
    /// Secrets in the store, listed or not.
    pub total: u16,
    /// Index from which the next call continues; 0 at the end.
    pub next_index: u16,
    /// The secrets listed here.
    pub entries: Vec<SecretEntry>,
}

impl SecretList {
    /// Fills one page with the entries from index `start` on. `store` is in ascending order of index; types that are never
    /// listed are passed over.
    ///
    /// # Errors
    /// [`ListError::TooMany`] if the store has more than 65535 secrets.
    pub fn page(store: &[SecretEntry], start: u16) -> Result<Self, ListError> {
        let listed = || store.iter().filter(|entry| entry.secret_type().is_listed());
        let total = listed().count();
        let mut from = listed().filter(|entry| entry.index.get() >= start);
        let entries = from.by_ref().take(LIST_ENTRIES_PER_PAGE).copied().collect();
        Ok(Self {
            total: u16::try_from(total).map_err(|_| ListError::TooMany(total))?,
            next_index: from.next().map_or(0, |entry| entry.index.get()),
            entries,
        })
    }

    /// Reads a buffer of one or more pages.
    ///
    /// # Errors
    /// [`ListError::Truncated`].
    pub fn decode(buffer: &[u8]) -> Result<Self, ListError> {
        let bytes = buffer.len();
        let (head, rest) = ListHead::ref_from_prefix(buffer).map_err(|_| ListError::Truncated { entries: 0, bytes })?;
        let count = head.entries.get();
        let (entries, _) = <[SecretEntry]>::ref_from_prefix_with_elems(rest, usize::from(count))
            .map_err(|_| ListError::Truncated { entries: count, bytes })?;
        Ok(Self { total: head.total.get(), next_index: head.next_index.get(), entries: entries.to_vec() })
    }

    /// Writes the list into a buffer of one or more pages; the rest of the buffer is set to zero.
    ///
    /// # Errors
    /// [`ListError::TooMany`] if the buffer is too short.
    pub fn encode(&self, buffer: &mut [u8]) -> Result<(), ListError> {
        let too_many = ListError::TooMany(self.entries.len());
        let mut head = ListHead::new_zeroed();
        head.entries = U16::new(u16::try_from(self.entries.len()).map_err(|_| too_many)?);
        head.total = U16::new(self.total);
        head.next_index = U16::new(self.next_index);
        let entries = self.entries.as_slice().as_bytes();
        if buffer.len() < HEAD + entries.len() {
            return Err(too_many);
        }
        buffer.fill(0);
        buffer[..HEAD].copy_from_slice(head.as_bytes());
        buffer[HEAD..HEAD + entries.len()].copy_from_slice(entries);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(count: u16) -> Vec<SecretEntry> {
        (0..count)
            .map(|index| {
                let kind = if index % 10 == 3 { SecretType::NULL } else { SecretType::ASSOCIATION };
                SecretEntry::new(index, kind, 32, SecretId([1; 32]))
            })
            .collect()
    }

    #[test]
    fn pages_follow_each_other() {
        let store = store(200);
        let mut seen = Vec::new();
        let mut start = 0;
        loop {
            let page = SecretList::page(&store, start).unwrap();
            assert_eq!(page.total, 180);
            let mut buffer = [0xff; LIST_PAGE_SIZE];
            page.encode(&mut buffer).unwrap();
            assert_eq!(SecretList::decode(&buffer).unwrap(), page);
            seen.extend(page.entries);
            start = page.next_index;
            if start == 0 {
                break;
            }
        }
        assert_eq!(seen.len(), 180);
        assert!(seen.iter().all(|entry| entry.secret_type() == SecretType::ASSOCIATION));
    }

    #[test]
    fn bytes_of_a_page() {
        let entry = SecretEntry::new(7, SecretType::AES_256, 0x0102, SecretId([9; 32]));
        let list = SecretList { total: 3, next_index: 8, entries: [entry].to_vec() };
        let mut buffer = [0xff; 4096];
        list.encode(&mut buffer).unwrap();
        assert_eq!(buffer[..8], [0, 1, 0, 3, 0, 8, 0, 0]);
        assert_eq!(buffer[16..26], [0, 7, 0, 6, 0, 0, 1, 2, 0, 0]);
        assert_eq!(buffer[32..64], [9; 32]);
        assert!(buffer[64..].iter().all(|&byte| byte == 0));
        assert_eq!(list.encode(&mut [0; 63]).unwrap_err(), ListError::TooMany(1));
    }

    #[test]
    fn short_buffers() {
        assert_eq!(SecretList::decode(&[0; 15]).unwrap_err(), ListError::Truncated { entries: 0, bytes: 15 });
        let mut page = [0u8; 4096];
        page[1] = 86;
        assert_eq!(SecretList::decode(&page).unwrap_err(), ListError::Truncated { entries: 86, bytes: 4096 });
        page[1] = 85;
        assert_eq!(SecretList::decode(&page).unwrap().entries.len(), 85);
    }
}
