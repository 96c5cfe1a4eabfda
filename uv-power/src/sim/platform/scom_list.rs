//! The byte format of the SCOM access list (power-pef §3.5), as it lies in the memory region labelled "ibm,uvbwlist".
//!
//! | part | bytes |
//! |---|---|
//! | header | seven big-endian u16 counts: white T1, T2, T3, black T1, T2, T3, grey |
//! | T1 row | 3: first and last top byte of an address, running total of T2 rows |
//! | T2 row | 3: second byte, running total of T3 rows (u16) |
//! | T3 row | 2: low half of an address |
//! | grey row | 12: address (u32), mask (u64) |
//!
//! A total counts the rows up to the end of its own part; the part begins where the row before ended.

use alloc::collections::{BTreeMap, BTreeSet};

use super::scom::ScomList;

const COUNTS: usize = 7;
const HEADER: usize = COUNTS * 2;
const ROW_1: usize = 3;
const ROW_2: usize = 3;
const ROW_3: usize = 2;
const GREY_ROW: usize = 12;
/// Addresses that one list may name after its ranges are written out.
const ADDRESSES: usize = 1 << 20;

/// Why an access list cannot be read. Nothing of such a list is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScomListError {
    /// The region is shorter than the header or than the tables it counts.
    #[error("the SCOM access list needs {needed} bytes, its region has {region}")]
    Size {
        /// Bytes of header and tables.
        needed: usize,
        /// Bytes of the region.
        region: usize,
    },
    /// A running total is below the one before or above the rows there are.
    #[error("a running total in table {0} of the SCOM access list delimits no rows")]
    Total(u8),
    /// Rows of one part are not in ascending order, or a range ends before it begins: a binary search would miss them.
    #[error("rows in table {0} of the SCOM access list are not in order")]
    Order(u8),
    /// The ranges stand for more addresses than any chip has.
    #[error("the SCOM access list names too many addresses")]
    TooMany,
}

/// Rows that are still to be read.
struct Rows<'a>(&'a [u8]);

impl<'a> Rows<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }
}

fn half(row: &[u8], at: usize) -> u16 {
    row.get(at..at + 2).and_then(|bytes| bytes.try_into().ok()).map_or(0, u16::from_be_bytes)
}

fn byte(row: &[u8], at: usize) -> u8 {
    row.get(at).copied().unwrap_or(0)
}

impl ScomList {
    /// Reads a list from the bytes of its region, which may be longer than the list.
    ///
    /// # Errors
    /// [`ScomListError`].
    pub fn parse(region: &[u8]) -> Result<Self, ScomListError> {
        let short = |needed| ScomListError::Size { needed, region: region.len() };
        let mut rows = Rows(region);
        let header = rows.take(HEADER).ok_or(short(HEADER))?;
        let counts: [usize; COUNTS] = core::array::from_fn(|index| half(header, index * 2).into());
        let [white_1, white_2, white_3, black_1, black_2, black_3, grey] = counts;
        let table = |one, two, three| one * ROW_1 + two * ROW_2 + three * ROW_3;
        let sizes = [table(white_1, white_2, white_3), table(black_1, black_2, black_3), grey * GREY_ROW];
        let needed = HEADER + sizes.iter().sum::<usize>();
        let mut addresses = |counts| read(&mut rows, counts).ok_or(short(needed))?;
        let white = addresses([white_1, white_2, white_3])?;
        let black = addresses([black_1, black_2, black_3])?;
        let grey = rows.take(grey * GREY_ROW).ok_or(short(needed))?;
        let entry = |row: &[u8]| {
            let (address, mask) = row.split_at_checked(4)?;
            let address = u32::from_be_bytes(address.try_into().ok()?);
            Some((address.into(), u64::from_be_bytes(mask.try_into().ok()?)))
        };
        let grey: BTreeMap<u64, u64> = grey.chunks_exact(GREY_ROW).filter_map(entry).collect();
        Ok(Self { white, black, grey })
    }
}

/// Reads the three tables of one list and writes their ranges out; `None` when bytes are missing.
fn read(rows: &mut Rows<'_>, [one, two, three]: [usize; 3]) -> Option<Result<BTreeSet<u64>, ScomListError>> {
    let (one, two) = (rows.take(one * ROW_1)?, rows.take(two * ROW_2)?);
    Some(addresses(one, two, rows.take(three * ROW_3)?))
}

fn addresses(one: &[u8], two: &[u8], three: &[u8]) -> Result<BTreeSet<u64>, ScomListError> {
    let mut all = BTreeSet::new();
    let mut second = two.chunks_exact(ROW_2);
    let (mut second_read, mut third_read) = (0, 0);
    for row in one.chunks_exact(ROW_1) {
        let (first, last, total) = (byte(row, 0), byte(row, 1), usize::from(byte(row, 2)));
        if first > last {
            return Err(ScomListError::Order(1));
        }
        let part = total.checked_sub(second_read).ok_or(ScomListError::Total(1))?;
        second_read = total;
        let mut key_before = None;
        for _ in 0..part {
            let row = second.next().ok_or(ScomListError::Total(1))?;
            let (key, total) = (byte(row, 0), usize::from(half(row, 1)));
            if key_before.replace(key).is_some_and(|before| before >= key) {
                return Err(ScomListError::Order(2));
            }
            let low = three.get(third_read * ROW_3..total * ROW_3).ok_or(ScomListError::Total(2))?;
            third_read = total;
            if !low.chunks_exact(ROW_3).is_sorted_by(|a, b| a < b) {
                return Err(ScomListError::Order(3));
            }
            for top in first..=last {
                let base = u64::from(top) << 24 | u64::from(key) << 16;
                all.extend(low.chunks_exact(ROW_3).map(|low| base | u64::from(half(low, 0))));
                if all.len() > ADDRESSES {
                    return Err(ScomListError::TooMany);
                }
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// White: 0x05{01: 2c4b, 2c4c}, 0x20–0x22{00: 0001; 01: 0002}; black: 0x0a{00: ffff}; grey: 0x11223344 & 0xff.
    fn sample() -> Vec<u8> {
        let mut list: Vec<u8> = [2, 3, 4, 1, 1, 1, 1].iter().flat_map(|count: &u16| count.to_be_bytes()).collect();
        list.extend([5, 5, 1, 0x20, 0x22, 3]);
        list.extend([1, 0, 2, 0, 0, 3, 1, 0, 4]);
        list.extend([0x2c, 0x4b, 0x2c, 0x4c, 0, 1, 0, 2]);
        list.extend([0xa, 0xa, 1, 0, 0, 1, 0xff, 0xff]);
        list.extend([0x11, 0x22, 0x33, 0x44, 0, 0, 0, 0, 0, 0, 0, 0xff]);
        list
    }

    #[test]
    fn ranges_and_parts_are_written_out() {
        let list = ScomList::parse(&sample()).unwrap();
        let white = [0x0501_2c4b, 0x0501_2c4c];
        let ranges = (0x20..=0x22).flat_map(|top: u64| [top << 24 | 1, top << 24 | 0x1_0002]);
        assert_eq!(list.white, white.into_iter().chain(ranges).collect());
        assert_eq!(list.black, [0x0a00_ffff].into());
        assert_eq!(list.grey, [(0x1122_3344, 0xff)].into());
        let region = [sample(), Vec::from([0xff; 100])].concat();
        assert_eq!(ScomList::parse(&region), Ok(list), "a region may be longer");
        assert_eq!(ScomList::parse(&[0; HEADER]), Ok(ScomList::default()));
    }

    #[test]
    fn a_list_that_is_longer_than_its_region_is_refused() {
        let sample = sample();
        for len in 0..sample.len() {
            let needed = if len < HEADER { HEADER } else { sample.len() };
            assert_eq!(ScomList::parse(&sample[..len]), Err(ScomListError::Size { needed, region: len }));
        }
    }

    #[test]
    fn rows_that_no_search_would_find_are_refused() {
        let refused = |at: usize, value: u8| {
            let mut list = sample();
            list[at] = value;
            ScomList::parse(&list).unwrap_err()
        };
        assert_eq!(refused(HEADER + 1, 4), ScomListError::Order(1), "range 5 to 4");
        assert_eq!(refused(HEADER + 5, 0), ScomListError::Total(1), "1, then 0");
        assert_eq!(refused(HEADER + 5, 4), ScomListError::Total(1), "4 of 3 rows");
        let two = HEADER + 2 * ROW_1;
        assert_eq!(refused(two + 5, 1), ScomListError::Total(2), "2, then 1");
        assert_eq!(refused(two + 8, 5), ScomListError::Total(2), "5 of 4 rows");
        assert_eq!(refused(two + 6, 0), ScomListError::Order(2), "0 twice");
        assert_eq!(refused(two + 9, 0x2d), ScomListError::Order(3), "0x2d4b before 0x2c4c");
    }

    #[test]
    fn a_list_cannot_grow_without_bound() {
        let rows = 5000_u16;
        let mut list: Vec<u8> = [1, 1, rows, 0, 0, 0, 0].iter().flat_map(|count: &u16| count.to_be_bytes()).collect();
        list.extend([0, 0xff, 1, 0]);
        list.extend(rows.to_be_bytes());
        list.extend((0..rows).flat_map(u16::to_be_bytes));
        assert_eq!(ScomList::parse(&list), Err(ScomListError::TooMany));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn no_bytes_make_it_panic(edits in proptest::collection::vec((0..60_usize, any::<u8>()), 0..8)) {
            let mut list = sample();
            let len = list.len();
            for (at, value) in edits {
                list[at % len] = value;
            }
            let _ = ScomList::parse(&list);
        }
    }
}
