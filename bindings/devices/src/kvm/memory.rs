//! Memory of the simulated machine: the kernel's own, and the memory of guests in files that programs map.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::{PoisonError, RwLock};

use uv_core::{AccessError, HostAddr, NormalMemory};
use uv_sim::HostMemory;

const MIB: u64 = 1 << 20;

/// A file at a host absolute address.
#[derive(Debug)]
struct Region {
    at: u64,
    bytes: u64,
    file: File,
}

/// Memory that grows by files.
#[derive(Debug)]
pub(super) struct SharedMemory {
    kernel: HostMemory,
    end: u64,
    regions: RwLock<Vec<Region>>,
}

impl SharedMemory {
    /// Memory of the kernel's own up to `kernel`, a multiple of 1 MiB; files between there and `end`.
    #[must_use]
    pub(super) fn new(kernel: u64, end: u64) -> Self {
        Self { kernel: HostMemory::new(kernel), end, regions: RwLock::default() }
    }

    /// Gives a file a place, which begins at a multiple of 1 MiB; `None` when there is none.
    #[must_use]
    pub(super) fn add(&self, bytes: u64, file: File) -> Option<HostAddr> {
        let mut regions = self.regions.write().unwrap_or_else(PoisonError::into_inner);
        let mut at = self.kernel.size();
        // First fit; the regions are sorted by address.
        let mut index = 0;
        while let Some(region) = regions.get(index).filter(|region| region.at < at.saturating_add(bytes)) {
            at = (region.at + region.bytes).next_multiple_of(MIB);
            index += 1;
        }
        at.checked_add(bytes).filter(|end| *end <= self.end)?;
        regions.insert(index, Region { at, bytes, file });
        Some(HostAddr(at))
    }

    /// Takes the file at an address away.
    pub(super) fn remove(&self, at: HostAddr) {
        self.regions.write().unwrap_or_else(PoisonError::into_inner).retain(|region| region.at != at.0);
    }

    fn access(
        &self,
        at: HostAddr,
        len: usize,
        kernel: impl FnOnce() -> Result<(), AccessError>,
        file: impl FnOnce(&File, u64) -> std::io::Result<()>,
    ) -> Result<(), AccessError> {
        let unmapped = AccessError::Unmapped { at, len };
        if at.0 < self.kernel.size() {
            return kernel();
        }
        let bytes = u64::try_from(len).map_err(|_| unmapped)?;
        let regions = self.regions.read().unwrap_or_else(PoisonError::into_inner);
        let inside = |region: &&Region| at.0 >= region.at && at.0 - region.at < region.bytes;
        let region = regions.iter().find(inside).filter(|region| region.bytes - (at.0 - region.at) >= bytes);
        let region = region.ok_or(unmapped)?;
        file(&region.file, at.0 - region.at).map_err(|error| {
            tracing::error!(%at, %error, "guest memory");
            unmapped
        })
    }
}

impl NormalMemory for SharedMemory {
    fn read(&self, at: HostAddr, into: &mut [u8]) -> Result<(), AccessError> {
        let len = into.len();
        // One of the two is called.
        let into = std::cell::RefCell::new(into);
        self.access(
            at,
            len,
            || self.kernel.read(at, &mut into.borrow_mut()),
            |file, offset| file.read_exact_at(&mut into.borrow_mut(), offset),
        )
    }

    fn write(&self, at: HostAddr, from: &[u8]) -> Result<(), AccessError> {
        self.access(at, from.len(), || self.kernel.write(at, from), |file, offset| file.write_all_at(from, offset))
    }

    fn check(&self, at: HostAddr, len: u64) -> Result<(), AccessError> {
        let length = usize::try_from(len).unwrap_or(usize::MAX);
        self.access(at, length, || self.kernel.check(at, len), |_, _| Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::memory_file;

    #[test]
    fn files_have_places_of_their_own() {
        let memory = SharedMemory::new(MIB, 8 * MIB);
        let file = |bytes| File::from(memory_file(bytes).unwrap());
        let first = memory.add(MIB + 0x1000, file(MIB + 0x1000)).unwrap();
        let second = memory.add(MIB, file(MIB)).unwrap();
        assert_eq!((first, second), (HostAddr(MIB), HostAddr(3 * MIB)));
        assert_eq!(memory.add(6 * MIB, file(0)), None, "no room");
        memory.write(HostAddr(first.0 + MIB), b"in a file").unwrap();
        memory.write(HostAddr(0x10), b"the kernel").unwrap();
        let mut bytes = [0; 9];
        memory.read(HostAddr(first.0 + MIB), &mut bytes).unwrap();
        assert_eq!(&bytes, b"in a file");
        for (at, len) in [(first.0 + MIB + 0x1000, 1), (first.0 + MIB, 0x1001), (2 * MIB + 0x2000, 1), (MIB - 1, 2)] {
            assert!(memory.check(HostAddr(at), len).is_err(), "{at:#x}");
        }
        memory.remove(first);
        assert!(memory.check(first, 1).is_err());
        assert_eq!(memory.add(MIB, file(MIB)), Some(first), "its place is free again");
    }
}
