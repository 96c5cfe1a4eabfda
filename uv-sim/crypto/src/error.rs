//! What can be wrong with a call on pages, and which pages of a batch failed their check.

use super::{BATCH, BLOCK_BYTES};

/// A call was shaped wrongly. Nothing was read or written.
///
/// These are errors of the caller, never of the data: a page whose tag or digest does not match is reported by
/// [`FailedPages`] or [`BadPage`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    /// The page is empty or not a multiple of 16 bytes, or is longer than the mode allows.
    #[error("page of {0} bytes: the length must be a positive multiple of 16 within the mode's limit")]
    PageLength(usize),
    /// Source and destination differ in length, or one page of a batch differs from the others.
    #[error("page of {found} bytes where {expected} bytes are expected")]
    LengthMismatch {
        /// Bytes the other side or the batch has.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// The lists of one call (sources, destinations, tags, records) differ in length.
    #[error("list of {found} entries where {expected} are expected")]
    CountMismatch {
        /// Entries of the source list.
        expected: usize,
        /// Entries of the other list.
        found: usize,
    },
    /// More pages than one batch takes.
    #[error("{0} pages in one call: the most is {BATCH}")]
    TooManyPages(usize),
    /// The additional authenticated data is longer than the fixed limit.
    #[error("additional data of {0} bytes is too long")]
    AadLength(usize),
    /// The key material has the wrong length for the suite.
    #[error("key material of {found} bytes where {expected} bytes are expected")]
    KeyLength {
        /// Bytes the suite wants.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// The guest frame number lies outside what the suite can bind.
    #[error("guest frame {0:#x} is outside the range of the suite")]
    FrameRange(u64),
}

/// One page failed its authentication; its destination holds zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("page {index} of the batch failed authentication")]
pub struct BadPage {
    /// Index of the page inside the call's lists.
    pub index: usize,
}

/// The pages of one batch which failed authentication: bit *i* stands for page *i*.
///
/// The destinations of these pages hold zeros; all the others hold the opened page.
#[must_use = "pages named here were not opened"]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FailedPages(u32);

impl FailedPages {
    /// No page failed.
    pub const NONE: Self = Self(0);

    /// Whether every page was opened.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Number of pages which failed.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// The bits: bit *i* stands for page *i* of the call.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Result of the page at `index` of the call.
    ///
    /// # Errors
    /// [`BadPage`] if that page failed authentication.
    pub const fn page(self, index: usize) -> Result<(), BadPage> {
        if index < BATCH && self.0 & (1 << index) != 0 { Err(BadPage { index }) } else { Ok(()) }
    }

    /// Result of the call as a whole.
    ///
    /// # Errors
    /// [`BadPage`] naming the first page which failed.
    pub const fn first(self) -> Result<(), BadPage> {
        if self.0 == 0 {
            Ok(())
        } else {
            // At most 31, since some bit is set.
            let mut index = 0;
            while self.0 & (1 << index) == 0 {
                index += 1;
            }
            Err(BadPage { index })
        }
    }

    /// Indices of the pages which failed, in order.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..BATCH).filter(move |&index| self.page(index).is_err())
    }

    /// Notes that the page at `index` failed.
    ///
    /// # Panics
    /// In debug builds, if `index` is not below [`BATCH`].
    pub fn mark(&mut self, index: usize) {
        debug_assert!(index < BATCH);
        self.0 |= 1 << index;
    }
}

/// Checks one page's length: a positive multiple of 16 bytes, at most `limit`.
pub fn check_page(len: usize, limit: usize) -> Result<(), CryptoError> {
    if len == 0 || !len.is_multiple_of(BLOCK_BYTES) || len > limit {
        return Err(CryptoError::PageLength(len));
    }
    Ok(())
}

/// Checks that a second buffer is as long as the first.
pub fn check_equal(expected: usize, found: usize) -> Result<(), CryptoError> {
    if expected == found { Ok(()) } else { Err(CryptoError::LengthMismatch { expected, found }) }
}

/// Checks that a second list has as many entries as the first.
pub fn check_count(expected: usize, found: usize) -> Result<(), CryptoError> {
    if expected == found { Ok(()) } else { Err(CryptoError::CountMismatch { expected, found }) }
}

/// Checks the lists of one batch call: at most [`BATCH`] pages, all of one length; returns that length
/// (0 for an empty batch).
pub fn check_batch(src: &[&[u8]], dst: &[&mut [u8]], limit: usize) -> Result<usize, CryptoError> {
    if src.len() > BATCH {
        return Err(CryptoError::TooManyPages(src.len()));
    }
    check_count(src.len(), dst.len())?;
    let Some(first) = src.first() else {
        return Ok(0);
    };
    check_page(first.len(), limit)?;
    for (from, to) in src.iter().zip(dst) {
        check_equal(first.len(), from.len())?;
        check_equal(first.len(), to.len())?;
    }
    Ok(first.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_blocks_within_the_limit() {
        for (len, fits) in [(0, false), (16, true), (40, false), (48, true), (64, true), (80, false)] {
            assert_eq!(check_page(len, 64), if fits { Ok(()) } else { Err(CryptoError::PageLength(len)) });
        }
    }

    #[test]
    fn batches_are_lists_of_equal_pages() {
        let page = [0; 64];
        let check = |src: &[usize], dst: &[usize]| {
            let mut room = [[0; 64]; BATCH + 1];
            let src: alloc::vec::Vec<&[u8]> = src.iter().map(|len| &page[..*len]).collect();
            let dst: alloc::vec::Vec<&mut [u8]> =
                room.iter_mut().zip(dst).map(|(room, len)| &mut room[..*len]).collect();
            check_batch(&src, &dst, 48)
        };
        let differ = |expected, found| Err(CryptoError::LengthMismatch { expected, found });
        assert_eq!(check(&[], &[]), Ok(0));
        assert_eq!(check(&[48, 48], &[48, 48]), Ok(48));
        assert_eq!(check(&[64], &[64]), Err(CryptoError::PageLength(64)));
        assert_eq!(check(&[32, 48], &[32, 48]), differ(32, 48));
        assert_eq!(check(&[32, 48], &[32, 32]), differ(32, 48), "a source");
        assert_eq!(check(&[32, 32], &[32, 48]), differ(32, 48), "a destination");
        assert_eq!(check(&[32], &[32, 32]), Err(CryptoError::CountMismatch { expected: 1, found: 2 }));
        assert_eq!(check(&[16; BATCH], &[16; BATCH]), Ok(16));
        assert_eq!(check(&[16; BATCH + 1], &[16; BATCH + 1]), Err(CryptoError::TooManyPages(BATCH + 1)));
    }

    #[test]
    fn failed_pages_are_named_each_by_its_index() {
        let mut failed = FailedPages::NONE;
        assert_eq!((failed.first(), failed.iter().count(), failed.is_none()), (Ok(()), 0, true));
        failed.mark(31);
        failed.mark(4);
        failed.mark(4);
        assert_eq!((failed.bits(), failed.count(), failed.is_none()), (1 << 31 | 1 << 4, 2, false));
        assert!(failed.iter().eq([4, 31]));
        assert_eq!(failed.first(), Err(BadPage { index: 4 }));
        let pages = [3, 4, 31, 32, 36].map(|index| failed.page(index).is_err());
        assert_eq!(pages, [false, true, true, false, false]);
    }
}
