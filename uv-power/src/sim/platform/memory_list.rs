//! Memory of the platform that a hypervisor may read or write by ultracall, as the device tree lists it (power-pef §3.6).

use alloc::vec::Vec;

/// One resource with what may be read and written of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformRange {
    /// Chip.
    pub id: u32,
    /// Type of the resource.
    pub kind: u32,
    /// Content.
    pub bytes: Vec<u8>,
    /// (offset, length) pairs that may be read.
    pub readable: Vec<(u64, u64)>,
    /// (offset, length) pairs that may be written.
    pub writable: Vec<(u64, u64)>,
}

/// All listed resources.
#[derive(Debug, Default)]
pub struct PlatformMemory(Vec<PlatformRange>);

/// Whether `size` bytes at `offset` lie in the listed pieces; adjacent pieces are joined.
fn listed(pieces: &[(u64, u64)], offset: u64, size: u64) -> bool {
    let mut sorted = pieces.to_vec();
    sorted.sort_unstable();
    let Some(end) = offset.checked_add(size) else { return false };
    let mut next = offset;
    for (start, len) in sorted {
        if start <= next {
            next = next.max(start.saturating_add(len));
        }
    }
    next >= end && next > offset
}

fn low(handle: u64) -> u32 {
    let [_, _, _, _, low @ ..] = handle.to_be_bytes();
    u32::from_be_bytes(low)
}

impl PlatformMemory {
    /// Lists a resource.
    pub fn add(&mut self, range: PlatformRange) {
        self.0.push(range);
    }

    /// (id, type) as reading splits a handle.
    #[must_use]
    pub fn read_handle(handle: u64) -> (u32, u32) {
        (low(handle >> 32), low(handle & 0xf))
    }

    /// (id, type) as writing splits a handle.
    #[must_use]
    pub fn write_handle(handle: u64) -> (u32, u32) {
        (low(handle), low(handle >> 32))
    }

    pub(crate) fn readable(&self, id: u32, kind: u32, offset: u64, size: usize) -> Option<&[u8]> {
        let range = self.0.iter().find(|range| (range.id, range.kind) == (id, kind))?;
        if !listed(&range.readable, offset, size as u64) {
            return None;
        }
        let start = usize::try_from(offset).ok()?;
        range.bytes.get(start..start.checked_add(size)?)
    }

    pub(crate) fn writable(&mut self, id: u32, kind: u32, offset: u64, size: usize) -> Option<&mut [u8]> {
        let range = self.0.iter_mut().find(|range| (range.id, range.kind) == (id, kind))?;
        if !listed(&range.writable, offset, size as u64) {
            return None;
        }
        let start = usize::try_from(offset).ok()?;
        range.bytes.get_mut(start..start.checked_add(size)?)
    }
}
