//! What the ultravisor keeps for each sealed page.

use alloc::vec::Vec;

use crate::crypto::SealRecord;

/// The seal records of one VM, by number. Freed numbers are used again.
#[derive(Default)]
pub(crate) struct Records {
    kept: Vec<Option<SealRecord>>,
    free: Vec<u32>,
}

impl Records {
    pub(crate) fn insert(&mut self, record: SealRecord) -> u32 {
        if let Some(index) = self.free.pop() {
            self.kept[index as usize] = Some(record);
            return index;
        }
        let index = u32::try_from(self.kept.len()).expect("a VM has fewer than 2^32 pages");
        self.kept.push(Some(record));
        index
    }

    pub(crate) fn get(&self, index: u32) -> Option<SealRecord> {
        self.kept.get(index as usize).copied().flatten()
    }

    pub(crate) fn remove(&mut self, index: u32) -> Option<SealRecord> {
        let record = self.kept.get_mut(index as usize)?.take();
        if record.is_some() {
            self.free.push(index);
        }
        record
    }

    /// How many records are kept.
    #[cfg(test)]
    pub(crate) fn in_use(&self) -> usize {
        self.kept.iter().flatten().count()
    }

    /// How many records there is room for.
    #[cfg(test)]
    pub(crate) fn places(&self) -> usize {
        self.kept.len()
    }
}
