//! The file as guest memory, and what the boot loader knows of it.

use alloc::vec::Vec;

use zerocopy::FromBytes as _;

use crate::abi::image::ImageMetadata;
use crate::abi::ipib::{BlockType, Component, IpibView, MAX_LENGTH};
use crate::abi::se_header::{FixedPart, MAGIC};

/// Where the header may be named by nobody: page starts up to here are tried (s390-formats §5).
const LAST_HEADER_PAGE: usize = 0x17000;

/// Why a file cannot be booted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BootImageError {
    /// It has no bytes.
    #[error("the file is empty")]
    Empty,
    /// No SE header where one may be.
    #[error("no SE header found: this is not a Secure Execution image")]
    NoHeader,
    /// The SE header reaches outside the file.
    #[error("the SE header lies outside the file; it may be cut off")]
    HeaderOutside,
    /// No PV IPIB where one may be.
    #[error("the image has no IPL parameter block; it may be cut off")]
    NoIpib,
    /// The IPIB holds fewer components than it says.
    #[error("the component list of the image is cut off")]
    ComponentList,
    /// A component reaches outside the file.
    #[error("a component of the image lies outside the file; it may be cut off")]
    ComponentOutside,
}

/// A file that can be loaded as guest memory and asked to boot. File offset and guest address are the same.
///
/// Nothing is verified here: that is the Ultravisor's job. What is needed is only what the boot loader needs: where
/// the SE header and the IPIB are, and that the components lie in the file.
#[derive(Debug, Clone)]
pub struct BootImage {
    file: Vec<u8>,
    header_address: u64,
    header_length: u64,
    ipib_address: u64,
    components: Vec<Component>,
}

impl BootImage {
    /// Finds header and IPIB, in today's layout (metadata block) or in the older one.
    ///
    /// # Errors
    /// [`BootImageError`]: no header, no IPIB, or components outside the file.
    pub fn find(file: Vec<u8>) -> Result<Self, BootImageError> {
        if file.is_empty() {
            return Err(BootImageError::Empty);
        }
        let (header_address, ipib_address) = match ImageMetadata::find(&file) {
            Some(metadata) => (metadata.header_offset.get(), metadata.ipib_offset.get()),
            None => without_metadata(&file)?,
        };
        let ipib = ipib_at(&file, ipib_address).ok_or(BootImageError::NoIpib)?;
        let header = at(&file, header_address, size_of::<FixedPart>())
            .and_then(|bytes| FixedPart::read_from_bytes(bytes).ok())
            .ok_or(BootImageError::HeaderOutside)?;
        // The boot loader has the size as an argument; the older IPIB leaves it open.
        let header_length = match ipib.header_length() {
            0 => u64::from(header.size.get()),
            length => length,
        };
        let components: Vec<_> = ipib.components().collect();
        if components.len() != usize::try_from(ipib.component_count()).unwrap_or(usize::MAX) {
            return Err(BootImageError::ComponentList);
        }
        for component in &components {
            let length = usize::try_from(component.length.get()).unwrap_or(usize::MAX);
            if at(&file, component.address.get(), length).is_none() {
                return Err(BootImageError::ComponentOutside);
            }
        }
        Ok(Self { header_address, header_length, ipib_address, components, file })
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &[u8] {
        &self.file
    }

    /// Guest address of the SE header.
    #[must_use]
    pub const fn header_address(&self) -> u64 {
        self.header_address
    }

    /// Length of the SE header in bytes, as the boot loader tells it.
    #[must_use]
    pub const fn header_length(&self) -> u64 {
        self.header_length
    }

    /// Guest address of the IPIB.
    #[must_use]
    pub const fn ipib_address(&self) -> u64 {
        self.ipib_address
    }

    /// The IPIB, and what follows it in the file.
    #[must_use]
    pub fn ipib_bytes(&self) -> &[u8] {
        usize::try_from(self.ipib_address).ok().and_then(|at| self.file.get(at..)).unwrap_or_default()
    }

    /// The components as the IPIB names them.
    #[must_use]
    pub fn components(&self) -> &[Component] {
        &self.components
    }

    /// Pages of all components.
    #[must_use]
    pub fn pages(&self) -> u64 {
        self.components.iter().map(|component| component.length.get().div_ceil(0x1000)).sum()
    }

    /// Plaintext control flags of the header: visible to everybody, authentic once the image runs.
    #[must_use]
    pub fn pcf(&self) -> Option<u64> {
        let bytes = at(&self.file, self.header_address, size_of::<FixedPart>())?;
        Some(FixedPart::read_from_bytes(bytes).ok()?.pcf().bits())
    }

    /// The bytes of the header.
    #[must_use]
    pub fn header_bytes(&self) -> Option<&[u8]> {
        at(&self.file, self.header_address, usize::try_from(self.header_length).ok()?)
    }
}

/// The older layout: the header is looked for at page starts, the IPIB one page before it or on a page between.
fn without_metadata(file: &[u8]) -> Result<(u64, u64), BootImageError> {
    let has_magic = |offset: usize| file.get(offset..).is_some_and(|rest| rest.starts_with(&MAGIC));
    let header = (0..=LAST_HEADER_PAGE).step_by(0x1000).find(|&offset| has_magic(offset));
    let header = header.ok_or(BootImageError::NoHeader)?;
    let mut pages = (0x11000..header).step_by(0x1000).rev();
    let ipib = pages.find(|&offset| ipib_at(file, u64::try_from(offset).unwrap_or(u64::MAX)).is_some());
    let ipib = ipib.ok_or(BootImageError::NoIpib)?;
    let wide = |offset| u64::try_from(offset).unwrap_or(u64::MAX);
    Ok((wide(header), wide(ipib)))
}

/// A PV IPIB at `address` that lies in the file as long as it says it is.
fn ipib_at(file: &[u8], address: u64) -> Option<IpibView<'_>> {
    let start = usize::try_from(address).ok()?;
    let view = IpibView::new(file.get(start..)?);
    let length = view.total_length();
    let whole = usize::try_from(length).ok()?;
    let usable = length <= MAX_LENGTH && view.block_type() == BlockType::PV && view.required_length() <= length.into();
    let present = usize::try_from(view.required_length()).is_ok_and(|needed| file.len() - start >= needed.min(whole));
    (usable && present && view.component_count() > 0).then_some(view)
}

fn at(file: &[u8], address: u64, length: usize) -> Option<&[u8]> {
    let start = usize::try_from(address).ok()?;
    file.get(start..start.checked_add(length)?)
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::{BootImage, BootImageError};
    use crate::abi::diag308::Response;
    use crate::abi::diag308::{Diag308, Subcode};
    use crate::guest::stage3a::{Loader, LoaderStep};
    use uv_core::GuestAddr;

    const FILE: &[u8] = include_bytes!("../../../../tests/fixtures/pvimg/b-odd-sizes/image.bin");

    #[test]
    fn noise_and_emptiness_are_no_images() {
        let find = |file: Vec<u8>| BootImage::find(file).unwrap_err();
        assert_eq!(find(Vec::new()), BootImageError::Empty);
        for file in [vec![0; 10], vec![0xa5; 0x20000]] {
            assert_eq!(find(file), BootImageError::NoHeader);
        }
        assert_eq!(find(b"IBMSecEx".to_vec()), BootImageError::NoIpib);
        let mut file = vec![0; 0x20000];
        file[0x14000..0x14008].copy_from_slice(b"IBMSecEx");
        assert_eq!(find(file), BootImageError::NoIpib);
    }

    #[test]
    fn a_cut_image_is_refused() {
        let image = BootImage::find(FILE.to_vec()).unwrap();
        let header = usize::try_from(image.header_address()).unwrap();
        assert!(image.header_bytes().unwrap().starts_with(b"IBMSecEx"));
        assert_eq!(BootImage::find(FILE[..header + 8].to_vec()).unwrap_err(), BootImageError::NoIpib);
        let end = u64::try_from(FILE.len()).unwrap().to_be_bytes();
        // The metadata block names a header behind the end.
        let mut file = FILE.to_vec();
        file[0xc008..0xc010].copy_from_slice(&end);
        assert_eq!(BootImage::find(file).unwrap_err(), BootImageError::HeaderOutside);
        // The IPIB names a component behind the end.
        let mut file = FILE.to_vec();
        let ipib = usize::try_from(image.ipib_address()).unwrap();
        let first = image.components()[0].address.get().to_be_bytes();
        let at = ipib + file[ipib..].windows(8).position(|word| word == first).unwrap();
        file[at..at + 8].copy_from_slice(&end);
        assert_eq!(BootImage::find(file).unwrap_err(), BootImageError::ComponentOutside);
    }

    #[test]
    fn the_loader_names_the_header_then_asks() {
        let image = BootImage::find(FILE.to_vec()).unwrap();
        let mut loader = Loader::new(&image);
        let mut bytes = image.header_address().to_be_bytes().to_vec();
        bytes.extend(image.header_length().to_be_bytes());
        assert_eq!(loader.next(None), LoaderStep::Store { at: GuestAddr(image.ipib_address() + 0x78), bytes });
        let set = LoaderStep::Diag308(Diag308::new(Subcode::SET_PV, image.ipib_address()));
        assert_eq!(loader.next(None), set);
        let mut refused = loader.clone();
        assert_eq!(refused.next(Some(Response::INVALID_IPIB)), LoaderStep::Wait);
        assert_eq!(refused.next(None), LoaderStep::Wait);
        assert_eq!(loader.next(Some(Response::OK)), LoaderStep::Diag308(Diag308::new(Subcode::START_PV, 0)));
        assert_eq!(loader.next(Some(Response::OK)), LoaderStep::Wait);
    }
}
