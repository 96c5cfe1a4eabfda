//! A header whose plain part is consistent.

use alloc::vec::Vec;
use core::fmt;

use zerocopy::FromBytes;

use super::error::HeaderError;
use super::flags::PlaintextControlFlags;
use super::layout::{FixedPart, HeaderFormat, MAX_SIZE, TAG_SIZE};
use super::view::HeaderView;

/// An SE header whose plain part is consistent: magic, version, sizes and number of key slots fit each
/// other. Whether it is genuine is known only after it was opened, for the tag covers every byte.
#[derive(Clone, PartialEq, Eq)]
pub struct SeHeader {
    bytes: Vec<u8>,
    format: HeaderFormat,
}

impl SeHeader {
    /// Takes `bytes` as exactly one header, after [`HeaderView::check`].
    ///
    /// # Errors
    /// Those of [`HeaderView::new`] and [`HeaderView::check`].
    pub fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        let format = HeaderView::new(bytes)?.check()?;
        Ok(Self { bytes: bytes.to_vec(), format })
    }

    /// Takes the header at the start of `bytes`, which may go on behind it.
    ///
    /// # Errors
    /// As [`parse`](Self::parse); [`HeaderError::Length`] if the stated size is not all there.
    pub fn parse_prefix(bytes: &[u8]) -> Result<Self, HeaderError> {
        let view = HeaderView::new(bytes)?;
        let size = usize::try_from(view.fixed().size.get()).unwrap_or(usize::MAX);
        let end = size.clamp(size_of::<FixedPart>(), MAX_SIZE).min(bytes.len());
        Self::parse(&bytes[..end])
    }

    /// All bytes of the header.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The fields before the key slots.
    #[must_use]
    pub fn fixed(&self) -> &FixedPart {
        let (fixed, _) = FixedPart::ref_from_prefix(&self.bytes).expect("parse() saw at least the fixed part");
        fixed
    }

    /// Sizes of this header's version.
    #[must_use]
    pub fn format(&self) -> HeaderFormat {
        self.format
    }

    /// The plaintext control flags.
    #[must_use]
    pub fn pcf(&self) -> PlaintextControlFlags {
        self.fixed().pcf()
    }

    /// Checks that no plaintext control flag outside `supported` is set.
    ///
    /// # Errors
    /// [`HeaderError::PlaintextFlags`] (0106/0030).
    pub fn check_pcf(&self, supported: PlaintextControlFlags) -> Result<(), HeaderError> {
        let unsupported = self.pcf().difference(supported);
        if unsupported.is_empty() { Ok(()) } else { Err(HeaderError::PlaintextFlags(unsupported)) }
    }

    /// The key slots in order, each of the version's slot size.
    pub fn slot_bytes(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.bytes[size_of::<FixedPart>()..self.encrypted_offset()].chunks_exact(self.format.slot_size)
    }

    /// Everything that the tag authenticates besides the encrypted area: the bytes before it.
    #[must_use]
    pub fn aad(&self) -> &[u8] {
        &self.bytes[..self.encrypted_offset()]
    }

    /// The encrypted area as stored.
    #[must_use]
    pub fn encrypted_area(&self) -> &[u8] {
        &self.bytes[self.encrypted_offset()..self.bytes.len() - TAG_SIZE]
    }

    /// The tag, the last 16 bytes.
    #[must_use]
    pub fn tag(&self) -> [u8; TAG_SIZE] {
        let mut tag = [0; TAG_SIZE];
        tag.copy_from_slice(&self.bytes[self.bytes.len() - TAG_SIZE..]);
        tag
    }

    fn encrypted_offset(&self) -> usize {
        self.bytes.len() - TAG_SIZE - self.format.encrypted_size
    }
}

impl fmt::Debug for SeHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SeHeader").field(self.fixed()).finish()
    }
}
