//! The guest's device tree: what the ultravisor reads of it, and the reservations it adds (power-pef §7.3).

use alloc::vec::Vec;

use uv_core::GuestAddr;

use crate::abi::numbers::PAGE_BYTES;
use crate::owner::tree::Node;
use crate::sim::failure::EsmFailure;

/// Bytes of the header.
pub(super) const HEADER: usize = 40;
const MAGIC: u32 = 0xd00d_feed;
/// Versions that can be read: a tree says which readers it needs.
const VERSION: u32 = 17;
const LAST_COMPATIBLE: u32 = 17;
/// The tree, rounded up to pages, twice, in one unit of 2 MiB.
const LIMIT: u32 = 1 << 20;
/// Top of the memory in which reservations are made.
const RMA_CAP: u64 = 768 << 20;

/// Fields of the header by their index.
const TOTAL: usize = 1;
const STRUCT: usize = 2;
const STRINGS: usize = 3;
const RESERVATIONS: usize = 4;
const VERSION_AT: usize = 5;
const COMPATIBLE: usize = 6;
const BOOT_CPU: usize = 7;
const STRINGS_SIZE: usize = 8;
const STRUCT_SIZE: usize = 9;

fn word(bytes: &[u8], index: usize) -> u32 {
    let at = index * 4;
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes)
}

/// The length of the tree whose header these bytes are.
pub(super) fn total_size(header: &[u8]) -> Result<u32, EsmFailure> {
    if word(header, 0) != MAGIC {
        return Err(EsmFailure::TreeHeader("magic"));
    }
    if word(header, VERSION_AT) < VERSION || word(header, COMPATIBLE) > LAST_COMPATIBLE {
        return Err(EsmFailure::TreeHeader("version"));
    }
    match word(header, TOTAL) {
        total if usize::try_from(total).is_ok_and(|total| total > HEADER) => Ok(total),
        _ => Err(EsmFailure::TreeHeader("length")),
    }
}

/// Whether a tree of `total` bytes has room in the working copy.
pub(super) fn check_size(total: u32) -> Result<(), EsmFailure> {
    if u64::from(total).next_multiple_of(PAGE_BYTES) <= LIMIT.into() {
        Ok(())
    } else {
        Err(EsmFailure::TreeSize(total))
    }
}

/// A number of 4 or 8 bytes.
pub(super) fn number(value: &[u8]) -> Option<u64> {
    match value.len() {
        8.. => value[..8].try_into().ok().map(u64::from_be_bytes),
        4..8 => value[..4].try_into().ok().map(|bytes| u32::from_be_bytes(bytes).into()),
        _ => None,
    }
}

/// The working copy.
pub(super) struct GuestTree {
    bytes: Vec<u8>,
    pub(super) root: Node,
    reservations: Vec<(u64, u64)>,
    rma_top: u64,
}

impl GuestTree {
    /// Reads the tree and finds the memory that reservations are made in.
    pub(super) fn new(bytes: Vec<u8>) -> Result<Self, EsmFailure> {
        let root = Node::parse(&bytes).map_err(EsmFailure::Tree)?;
        let at = usize::try_from(word(&bytes, RESERVATIONS)).unwrap_or(usize::MAX);
        let entries = bytes.get(at..).unwrap_or(&[]).chunks_exact(16).map(|entry| {
            let half = |half: &[u8]| half.try_into().map_or(0, u64::from_be_bytes);
            (half(&entry[..8]), half(&entry[8..]))
        });
        let reservations = entries.take_while(|entry| *entry != (0, 0)).collect();
        let reg = root.find("/memory@0").and_then(|node| node.value("reg")).filter(|reg| reg.len() >= 16);
        let reg = reg.ok_or(EsmFailure::Property("/memory@0 reg"))?;
        let (base, size) = (number(&reg[..8]).unwrap_or(0), number(&reg[8..16]).unwrap_or(0));
        if base != 0 {
            return Err(EsmFailure::MemoryBase(base));
        }
        Ok(Self { bytes, root, reservations, rma_top: size.min(RMA_CAP) })
    }

    /// A property as a number of 4 or 8 bytes; `name` is path and property for the message.
    pub(super) fn number(&self, path: &str, property: &str, name: &'static str) -> Result<u64, EsmFailure> {
        let value = self.root.find(path).and_then(|node| node.value(property));
        value.and_then(number).ok_or(EsmFailure::Property(name))
    }

    /// The CPU that boots.
    pub(super) fn boot_cpu(&self) -> u32 {
        word(&self.bytes, BOOT_CPU)
    }

    /// Reserves `size` bytes, whole pages, as high as possible below the top of real mode memory and outside of everything in
    /// the reservation map, and notes it in the map. Memory that the map does not name is not kept out of: what the guest
    /// has there is the guest's to name.
    ///
    /// The place is looked for to the byte and its address then rounded up to a page, so that an area can reach past the top of
    /// the memory, or past the lower end of the reservation above it, by less than a page.
    pub(super) fn reserve(
        &mut self,
        size: u64,
        in_slots: impl Fn(GuestAddr, u64) -> bool,
    ) -> Result<GuestAddr, EsmFailure> {
        let no_room = EsmFailure::NoRoom(size);
        let below = |top: u64| top.checked_sub(size).filter(|start| *start > 0);
        let mut start = below(self.rma_top).ok_or(no_room.clone())?;
        // The last entry of the map is looked at first, and again after every move.
        let meets = |start: u64| {
            let meet = |(at, len): &&(u64, u64)| *at < start + size && start < at.saturating_add(*len);
            self.reservations.iter().rev().find(meet).map(|(at, _)| *at)
        };
        while let Some(at) = meets(start) {
            start = below(at).ok_or(no_room.clone())?;
        }
        if !in_slots(GuestAddr(start), size) {
            return Err(no_room);
        }
        let start = start.next_multiple_of(PAGE_BYTES);
        self.reservations.push((start, size));
        Ok(GuestAddr(start))
    }

    /// The tree with the new reservations: everything else as it was.
    pub(super) fn packed(&self) -> Option<Vec<u8>> {
        let block = |at: usize, size: usize| {
            let at = usize::try_from(word(&self.bytes, at)).ok()?;
            self.bytes.get(at..at.checked_add(usize::try_from(word(&self.bytes, size)).ok()?)?)
        };
        let (structure, strings) = (block(STRUCT, STRUCT_SIZE)?, block(STRINGS, STRINGS_SIZE)?);
        let mut map = Vec::new();
        for (start, size) in self.reservations.iter().chain(&[(0, 0)]) {
            map.extend_from_slice(&start.to_be_bytes());
            map.extend_from_slice(&size.to_be_bytes());
        }
        let structure_at = HEADER + map.len();
        let strings_at = structure_at + structure.len();
        let mut fields: [u32; 10] = core::array::from_fn(|index| word(&self.bytes, index));
        fields[TOTAL] = u32::try_from(strings_at + strings.len()).ok()?;
        fields[STRUCT] = u32::try_from(structure_at).ok()?;
        fields[STRINGS] = u32::try_from(strings_at).ok()?;
        fields[RESERVATIONS] = u32::try_from(HEADER).ok()?;
        let header = fields.map(u32::to_be_bytes).concat();
        Some([&header, &map, structure, strings].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owner::tree::Property;

    /// A tree with memory up to `top` and these reservations.
    fn tree(top: u64, reservations: &[(u64, u64)]) -> GuestTree {
        let mut memory = Node::new("memory@0");
        memory.set(Property::new("reg", [0_u64.to_be_bytes(), top.to_be_bytes()].concat()));
        let mut root = Node::new("");
        root.children.push(memory);
        let mut tree = GuestTree::new(root.to_bytes(&[]).unwrap()).unwrap();
        tree.reservations = reservations.to_vec();
        tree
    }

    #[test]
    fn addresses_of_reservations_are_rounded_up_after_the_search() {
        let mut odd = tree(0x1ff_8000, &[]);
        let areas = [1, 1, 6, 2].map(|pages| odd.reserve(pages * PAGE_BYTES, |_, _| true).unwrap().0);
        assert_eq!(areas, [0x1ff_0000, 0x1fe_0000, 0x1f8_0000, 0x1f6_0000]);
        // Past the lower end of a reservation.
        let mut odd = tree(0x200_0000, &[(0x1ff_4000, 0xc000)]);
        assert_eq!(odd.reserve(PAGE_BYTES, |_, _| true).unwrap().0, 0x1ff_0000);
        let mut exact = tree(0x200_0000, &[(0x1ff_0000, 0x1_0000), (0x1fd_0000, 0x1_0000)]);
        let areas = [1, 1].map(|pages| exact.reserve(pages * PAGE_BYTES, |_, _| true).unwrap().0);
        assert_eq!(areas, [0x1fe_0000, 0x1fc_0000]);
    }

    #[test]
    fn slots_are_asked_for_the_place_that_was_found() {
        let asked = |at: GuestAddr, size: u64| (at.0, size) == (0x1fe_8000, PAGE_BYTES);
        assert!(tree(0x1ff_8000, &[]).reserve(PAGE_BYTES, asked).is_ok());
        let refused = tree(0x1ff_8000, &[]).reserve(PAGE_BYTES, |_, _| false);
        assert_eq!(refused, Err(EsmFailure::NoRoom(PAGE_BYTES)));
        for top in [0, PAGE_BYTES - 1, PAGE_BYTES] {
            assert!(tree(top, &[]).reserve(PAGE_BYTES, |_, _| true).is_err(), "{top:#x}");
        }
        assert!(tree(3 * PAGE_BYTES, &[(PAGE_BYTES, 1)]).reserve(PAGE_BYTES, |_, _| true).is_ok());
        assert!(tree(2 * PAGE_BYTES, &[(PAGE_BYTES, 1)]).reserve(PAGE_BYTES, |_, _| true).is_err());
        assert!(tree(2 * PAGE_BYTES, &[(4, 2 * PAGE_BYTES)]).reserve(PAGE_BYTES, |_, _| true).is_err());
    }
}
