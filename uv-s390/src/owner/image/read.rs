//! Reading an image file.

use alloc::vec::Vec;
use core::fmt;

use super::bootloader::size_as_u64;
use super::component::PAGE_STEP;
use super::digest::{Measurement, PageHasher};
use super::error::{ComponentFault, ImageError, IpibFault};
use crate::abi::image::ImageMetadata;
use crate::abi::ipib::{self, BlockType, Component, IpibView};
use crate::abi::se_header::{MAGIC, SeHeader};

/// Last offset at which a header without metadata is looked for: the tools go up to 0x14000, and the
/// header extractor of the same project three pages further.
const LAST_HEADER_PAGE: usize = 0x17000;

/// Lowest offset at which an IPIB without metadata may be: behind the first page of stage3a.
const FIRST_IPIB_PAGE: usize = 0x11000;

/// Finds and reads the SE header of an image file, or of a file that is a bare header.
///
/// With a metadata block at 0xc000, of any version, the header must be where the block says. Otherwise
/// every page start from offset 0 to 0x17000 is tried (s390-formats §5). Gives the file offset, too.
///
/// ```
/// assert_eq!(uv_s390::owner::image::read_header(b"").unwrap_err().to_string(),
///     "no SE header found: this is not a Secure Execution image");
/// ```
///
/// # Errors
/// [`ImageError::NoHeader`], [`ImageError::MetadataHeader`], or [`ImageError::Header`] if the header
/// found is not usable.
pub fn read_header(file: &[u8]) -> Result<(u64, SeHeader), ImageError> {
    let has_magic = |offset: usize| file.get(offset..).is_some_and(|rest| rest.starts_with(&MAGIC));
    let offset = match ImageMetadata::find(file) {
        Some(metadata) => {
            let stated = metadata.header_offset.get();
            let offset = usize::try_from(stated).map_err(|_| ImageError::MetadataHeader(stated))?;
            if !has_magic(offset) {
                return Err(ImageError::MetadataHeader(stated));
            }
            offset
        }
        None => (0..=LAST_HEADER_PAGE).step_by(0x1000).find(|&page| has_magic(page)).ok_or(ImageError::NoHeader)?,
    };
    let header = SeHeader::parse_prefix(file.get(offset..).ok_or(ImageError::NoHeader)?)?;
    Ok((size_as_u64(offset), header))
}

/// An image file with its parts found and consistent with each other. Nothing is authenticated and no
/// digest is computed yet; see [`measure`](Self::measure) and [`SeHeader::open`].
#[derive(Clone)]
pub struct Image<'a> {
    file: &'a [u8],
    metadata: Option<ImageMetadata>,
    header_offset: u64,
    header: SeHeader,
    ipib_offset: u64,
    ipib: IpibView<'a>,
    parts: Vec<(Component, &'a [u8])>,
}

impl<'a> Image<'a> {
    /// Reads an image file of either layout (s390-formats §4, §6). Order, addresses and tweak prefixes
    /// are taken from the IPIB.
    ///
    /// # Errors
    /// [`ImageError`]; never panics, and allocates only for the header and the component list.
    pub fn parse(file: &'a [u8]) -> Result<Self, ImageError> {
        let (header_offset, header) = read_header(file)?;
        let metadata = ImageMetadata::find(file);
        let (ipib_offset, ipib) = match metadata {
            Some(metadata) => {
                let offset = metadata.ipib_offset.get();
                let bytes = usize::try_from(offset).ok().and_then(|offset| file.get(offset..));
                (offset, IpibView::new(bytes.filter(|bytes| bytes.len() >= 8).ok_or(ImageError::NoIpib)?))
            }
            None => find_ipib(file, header_offset)?,
        };
        check_ipib(&ipib, header_offset, &header)?;
        let parts = parts(file, &ipib)?;
        Ok(Self { file, metadata, header_offset, header, ipib_offset, ipib, parts })
    }

    /// The whole file. File offset and guest absolute address are the same.
    #[must_use]
    pub fn file(&self) -> &'a [u8] {
        self.file
    }

    /// The metadata block, if there is one.
    #[must_use]
    pub fn metadata(&self) -> Option<&ImageMetadata> {
        self.metadata.as_ref()
    }

    /// Offset of the header.
    #[must_use]
    pub fn header_offset(&self) -> u64 {
        self.header_offset
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &SeHeader {
        &self.header
    }

    /// Offset of the IPIB.
    #[must_use]
    pub fn ipib_offset(&self) -> u64 {
        self.ipib_offset
    }

    /// The IPIB.
    #[must_use]
    pub fn ipib(&self) -> &IpibView<'a> {
        &self.ipib
    }

    /// The components in order, each with its stored bytes (whole pages).
    pub fn components(&self) -> impl ExactSizeIterator<Item = (Component, &'a [u8])> {
        self.parts.iter().copied()
    }

    /// Computes the digests of the stored components.
    #[must_use]
    pub fn measure(&self) -> Measurement {
        let mut hasher = PageHasher::new();
        for (entry, stored) in &self.parts {
            hasher.component(stored, entry.address.get(), entry.tweak_prefix.get());
        }
        hasher.finish()
    }

    /// Compares the components with the header. This says nothing about the header itself.
    ///
    /// # Errors
    /// [`ImageError::Measurement`].
    pub fn check_measurement(&self) -> Result<(), ImageError> {
        Ok(self.measure().check(self.header.fixed())?)
    }
}

impl fmt::Debug for Image<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image")
            .field("file", &self.file.len())
            .field("header_offset", &self.header_offset)
            .field("header", &self.header)
            .field("ipib_offset", &self.ipib_offset)
            .field("components", &self.parts.len())
            .finish()
    }
}

/// Finds the IPIB of an image without metadata: one page before the header as a rule, else on any page
/// between stage3a's entry and the header.
fn find_ipib(file: &[u8], header_offset: u64) -> Result<(u64, IpibView<'_>), ImageError> {
    let header = usize::try_from(header_offset).map_err(|_| ImageError::NoIpib)?;
    let usual = header.checked_sub(0x1000);
    usual
        .into_iter()
        .chain((FIRST_IPIB_PAGE..header).step_by(0x1000))
        .filter_map(|offset| Some((size_as_u64(offset), IpibView::new(file.get(offset..header)?))))
        .find(|(_, view)| check_ipib_block(view).is_ok())
        .ok_or(ImageError::NoIpib)
}

/// What every PV IPIB must be, whatever it points to.
fn check_ipib_block(ipib: &IpibView<'_>) -> Result<(), ImageError> {
    let total = ipib.total_length();
    if total > ipib::MAX_LENGTH {
        return Err(ImageError::Ipib(IpibFault::TooLong));
    }
    if ipib.block_type() != BlockType::PV {
        return Err(ImageError::Ipib(IpibFault::BlockType));
    }
    if ipib.component_count() == 0 {
        return Err(ImageError::Ipib(IpibFault::NoComponents));
    }
    if ipib.required_length() > u64::from(total) {
        return Err(ImageError::Ipib(IpibFault::TooShort));
    }
    Ok(())
}

/// The IPIB must name the header that was found. The older generator leaves the address open.
fn check_ipib(ipib: &IpibView<'_>, header_offset: u64, header: &SeHeader) -> Result<(), ImageError> {
    check_ipib_block(ipib)?;
    let open = |stated: u64| stated == 0 && ipib.pv_version() == 0;
    if ipib.header_address() != header_offset && !open(ipib.header_address()) {
        return Err(ImageError::Ipib(IpibFault::HeaderAddress));
    }
    if ipib.header_length() != size_as_u64(header.as_bytes().len()) && !open(ipib.header_length()) {
        return Err(ImageError::Ipib(IpibFault::HeaderLength));
    }
    Ok(())
}

/// The components with their bytes, under the rules of the loader (s390-formats §3 rule 1, §4.5).
fn parts<'a>(file: &'a [u8], ipib: &IpibView<'a>) -> Result<Vec<(Component, &'a [u8])>, ImageError> {
    let mut parts: Vec<(Component, &[u8])> = Vec::new();
    for entry in ipib.components() {
        let wrong = |fault| Err(ImageError::Component { index: parts.len(), fault });
        let (address, length) = (entry.address.get(), entry.length.get());
        if !address.is_multiple_of(PAGE_STEP) {
            return wrong(ComponentFault::Address);
        }
        if length == 0 || !length.is_multiple_of(PAGE_STEP) {
            return wrong(ComponentFault::Length);
        }
        if let Some((before, _)) = parts.last() {
            if before.tweak_prefix.get() >= entry.tweak_prefix.get() {
                return wrong(ComponentFault::PrefixOrder);
            }
            if before.address.get().saturating_add(before.length.get()) > address {
                return wrong(ComponentFault::Overlap);
            }
        }
        let start = usize::try_from(address).ok();
        let end = address.checked_add(length).and_then(|end| usize::try_from(end).ok());
        let stored = start.zip(end).and_then(|(start, end)| file.get(start..end));
        let Some(stored) = stored else { return wrong(ComponentFault::OutsideFile) };
        parts.push((entry, stored));
    }
    if u64::try_from(parts.len()) != Ok(u64::from(ipib.component_count())) {
        return Err(ImageError::Ipib(IpibFault::CutOff));
    }
    Ok(parts)
}
