//! What the ultravisor keeps for each sealed page.

use crate::seal::SealRecord;
use alloc::vec::Vec;

/// The seal records of one VM, by number: 24 bytes each. Freed numbers are used again.
pub(crate) struct Records {
    kept: Vec<SealRecord>,
    free: Vec<u32>,
}

impl Records {
    pub(crate) const fn new() -> Self {
        Self { kept: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn insert(&mut self, record: SealRecord) -> u32 {
        if let Some(index) = self.free.pop() {
            self.kept[index as usize] = record;
            return index;
        }
        let index = u32::try_from(self.kept.len()).expect("a VM has fewer than 2^32 sealed pages");
        self.kept.push(record);
        index
    }

    /// The record of a number that is in use.
    pub(crate) fn get(&self, index: u32) -> Option<SealRecord> {
        self.kept.get(index as usize).copied()
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
        self.kept.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_as_they_were_put_in() {
        let record = |version: u64| SealRecord { version, tag: [version.to_le_bytes()[0]; 16] };
        let mut records = Records::new();
        let numbers = [1, 2, 3].map(|n| records.insert(record(n)));
        assert_eq!(numbers.map(|n| records.get(n)), [1, 2, 3].map(|n| Some(record(n))));
        records.remove(numbers[1]);
        assert_eq!(records.insert(record(u64::MAX)), numbers[1], "a freed number");
        assert_eq!(numbers.map(|n| records.get(n)), [1, u64::MAX, 3].map(|n| Some(record(n))));
        assert_eq!((records.get(3), records.places()), (None, 3));
    }
}
