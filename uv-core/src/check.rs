//! Public argument checkers: the checks every backend makes first, said once.

use crate::{Error, ErrorKind, Gfn, MemSlots, PageRange, PageSize};

/// An argument that no machine accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// An address is not a page address.
    #[error("address {0:#x} is not page aligned")]
    Unaligned(u64),
    /// The range passes the end of the guest's address space.
    #[error("the page range passes the end of the address space")]
    Wraps,
    /// A page belongs to no memory slot.
    #[error("page {0} belongs to no memory slot")]
    NoSlot(Gfn),
}

impl Error for ArgumentError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidArgument
    }
}

/// Checks that `addr` is a page address.
///
/// # Errors
/// [`ArgumentError::Unaligned`].
pub const fn check_aligned(page_size: PageSize, addr: u64) -> Result<(), ArgumentError> {
    if page_size.is_aligned(addr) { Ok(()) } else { Err(ArgumentError::Unaligned(addr)) }
}

/// Checks that every page of `range`, and the end of the last one, has a 64-bit address.
///
/// # Errors
/// [`ArgumentError::Wraps`].
pub const fn check_range(page_size: PageSize, range: PageRange) -> Result<(), ArgumentError> {
    match range.first.0.checked_add(range.count) {
        Some(end) if end <= u64::MAX >> page_size.shift() => Ok(()),
        _ => Err(ArgumentError::Wraps),
    }
}

/// Checks that every page of `range` belongs to a memory slot.
///
/// # Errors
/// [`ArgumentError::Wraps`], then [`ArgumentError::NoSlot`] with the first page that has none. Takes one look-up per
/// slot, not per page.
pub fn check_in_slots(slots: &MemSlots, range: PageRange) -> Result<(), ArgumentError> {
    check_range(slots.page_size(), range)?;
    let end = range.first.0 + range.count;
    let mut next = range.first.0;
    while next < end {
        let slot = slots.find(Gfn(next)).ok_or(ArgumentError::NoSlot(Gfn(next)))?;
        next = slot.first.0 + slot.pages;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HostAddr, MemSlot, SlotId};

    #[test]
    fn ranges_must_lie_in_slots_without_a_gap() {
        let mut slots = MemSlots::new(PageSize::K4);
        slots.insert(SlotId(0), MemSlot { first: Gfn(0), pages: 4, host: HostAddr(0) }).unwrap();
        slots.insert(SlotId(1), MemSlot { first: Gfn(4), pages: 4, host: HostAddr(0x10_0000) }).unwrap();
        assert_eq!(check_in_slots(&slots, PageRange::new(Gfn(2), 6)), Ok(()));
        assert_eq!(check_in_slots(&slots, PageRange::new(Gfn(2), 7)), Err(ArgumentError::NoSlot(Gfn(8))));
        assert_eq!(check_in_slots(&slots, PageRange::new(Gfn(2), u64::MAX)), Err(ArgumentError::Wraps));
        assert_eq!(check_in_slots(&slots, PageRange::new(Gfn(9), 1)), Err(ArgumentError::NoSlot(Gfn(9))));
        assert_eq!(check_in_slots(&slots, PageRange::new(Gfn(9), 0)), Ok(()), "no page");
        assert_eq!(check_in_slots(&slots, PageRange::new(Gfn(1 << 52), 1)), Err(ArgumentError::Wraps));
        assert_eq!(check_aligned(PageSize::K4, 0x1001), Err(ArgumentError::Unaligned(0x1001)));
        assert_eq!(
            (check_aligned(PageSize::K4, 0x1000), ArgumentError::Wraps.kind()),
            (Ok(()), ErrorKind::InvalidArgument)
        );
    }

    #[test]
    fn the_end_of_a_range_has_an_address_too() {
        for (size, last) in [(PageSize::K4, (1 << 52) - 1), (PageSize::K64, (1 << 48) - 1)] {
            assert_eq!(check_range(size, PageRange::new(Gfn(0), last)), Ok(()));
            assert_eq!(check_range(size, PageRange::new(Gfn(last), 0)), Ok(()));
            assert_eq!(check_range(size, PageRange::new(Gfn(1), last)), Err(ArgumentError::Wraps));
            assert_eq!(check_range(size, PageRange::new(Gfn(last), u64::MAX)), Err(ArgumentError::Wraps));
        }
    }
}
