//! What the ultravisor keeps for each sealed page.

use crate::seal::{SealRecord, Suite};
use alloc::vec::Vec;

/// Bytes of a record's version.
const VERSION: usize = size_of::<u64>();

/// The seal records of one VM, by number: 24 bytes each where the suite has a tag of 16 bytes, 40 where it has a digest.
/// Freed numbers are used again.
pub(crate) struct Records {
    kept: Vec<u8>,
    /// Bytes of a record.
    each: usize,
    free: Vec<u32>,
}

impl Records {
    pub(crate) const fn new(suite: Suite) -> Self {
        let tag = match suite {
            Suite::Aes256XtsSha256 => 32,
            Suite::Aes256Ccm | Suite::Aes128Gcm => 16,
        };
        Self { kept: Vec::new(), each: VERSION + tag, free: Vec::new() }
    }

    pub(crate) fn insert(&mut self, record: SealRecord) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            let index = u32::try_from(self.kept.len() / self.each).expect("a VM has fewer than 2^32 sealed pages");
            self.kept.resize(self.kept.len() + self.each, 0);
            index
        });
        let start = index as usize * self.each;
        let (version, tag) = self.kept[start..start + self.each].split_at_mut(VERSION);
        version.copy_from_slice(&record.version.to_ne_bytes());
        tag.copy_from_slice(&record.tag[..tag.len()]);
        index
    }

    /// The record of a number that is in use.
    pub(crate) fn get(&self, index: u32) -> Option<SealRecord> {
        let start = (index as usize).checked_mul(self.each)?;
        let (version, kept) = self.kept.get(start..start.checked_add(self.each)?)?.split_first_chunk()?;
        let mut tag = [0; 32];
        tag[..kept.len()].copy_from_slice(kept);
        Some(SealRecord { version: u64::from_ne_bytes(*version), tag })
    }

    /// Forgets the record of a number that is in use.
    pub(crate) fn remove(&mut self, index: u32) {
        self.free.push(index);
    }

    /// How many records are kept.
    #[cfg(test)]
    pub(crate) fn in_use(&self) -> usize {
        self.places() - self.free.len()
    }

    /// How many records there is room for.
    #[cfg(test)]
    pub(crate) fn places(&self) -> usize {
        self.kept.len() / self.each
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_as_they_were_put_in() {
        for (suite, tag, bytes) in
            [(Suite::Aes256XtsSha256, 32, 40), (Suite::Aes256Ccm, 16, 24), (Suite::Aes128Gcm, 16, 24)]
        {
            let record = |version: u64| {
                let mut record = SealRecord { version, ..SealRecord::default() };
                record.tag[..tag].fill(version.to_le_bytes()[0]);
                record
            };
            let mut records = Records::new(suite);
            let numbers = [1, 2, 3].map(|n| records.insert(record(n)));
            assert_eq!(numbers.map(|n| records.get(n)), [1, 2, 3].map(|n| Some(record(n))), "{suite:?}");
            records.remove(numbers[1]);
            assert_eq!(records.insert(record(u64::MAX)), numbers[1], "{suite:?}: a freed number");
            assert_eq!(numbers.map(|n| records.get(n)), [1, u64::MAX, 3].map(|n| Some(record(n))), "{suite:?}");
            assert_eq!((records.get(3), records.kept.len()), (None, 3 * bytes), "{suite:?}");
        }
    }
}
