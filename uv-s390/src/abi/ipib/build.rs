//! Writing a type-5 IPIB.

use alloc::vec;
use alloc::vec::Vec;

use thiserror::Error;
use zerocopy::IntoBytes;
use zerocopy::byteorder::big_endian::{U32, U64};

use super::layout::{BlockType, Component, Fixed};
use super::{HEADER_LENGTH, MAX_COMPONENTS, MAX_LENGTH, VERSION};

/// Which image builder's form a written IPIB has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpibForm {
    /// Total length 136 + 24·n, PV block version 1 (s390-formats §4.4).
    Exact,
    /// Padded with zeros to one page, total length 4096, PV block version 0 (s390-formats §6).
    Page,
}

/// Why an IPIB cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum IpibError {
    /// An IPIB needs at least one component.
    #[error("an IPIB needs at least one component")]
    NoComponents,
    /// The components do not fit into one page.
    #[error("{0} components do not fit into one IPIB (at most {MAX_COMPONENTS})")]
    TooManyComponents(usize),
}

/// Builds the bytes of a type-5 IPIB that names an SE header and its components, in the given order.
///
/// `header_address` is a guest absolute address, `header_length` counts bytes. The older generator
/// leaves the header address 0 for the boot loader to fill in; this function writes what it is given.
///
/// # Errors
/// [`IpibError`] if there is no component or if there are more than [`MAX_COMPONENTS`].
pub fn build(
    form: IpibForm,
    header_address: u64,
    header_length: u64,
    components: &[Component],
) -> Result<Vec<u8>, IpibError> {
    if components.is_empty() {
        return Err(IpibError::NoComponents);
    }
    let too_many = IpibError::TooManyComponents(components.len());
    if components.len() > MAX_COMPONENTS {
        return Err(too_many);
    }
    let used = size_of::<Fixed>() + size_of_val(components);
    let total = match form {
        IpibForm::Exact => u32::try_from(used).map_err(|_| too_many)?,
        IpibForm::Page => MAX_LENGTH,
    };
    let fixed = Fixed {
        total_length: U32::new(total),
        flags: 0,
        reserved_05: [0; 2],
        version: VERSION,
        block_length: U32::new(total - HEADER_LENGTH),
        block_type: BlockType::PV.0,
        block_flags: 0,
        reserved_0e: [0; 2],
        loadparm: [0; 8],
        reserved_18: [0; 87],
        pv_version: match form {
            IpibForm::Exact => 1,
            IpibForm::Page => 0,
        },
        reserved_70: [0; 4],
        component_count: U32::new(u32::try_from(components.len()).map_err(|_| too_many)?),
        header_address: U64::new(header_address),
        header_length: U64::new(header_length),
    };
    let mut bytes = vec![0; usize::try_from(total).map_err(|_| too_many)?];
    bytes[..size_of::<Fixed>()].copy_from_slice(fixed.as_bytes());
    bytes[size_of::<Fixed>()..used].copy_from_slice(components.as_bytes());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::ipib::IpibView;

    #[test]
    fn page_form_is_one_page_with_block_version_zero() {
        let bytes = build(IpibForm::Page, 0, 640, &[Component::new(0, 0x15000, 4096)]).unwrap();
        assert_eq!(bytes.len(), 4096);
        let view = IpibView::new(&bytes);
        assert_eq!(view.total_length(), 4096);
        assert_eq!(view.block_length(), 4088);
        assert_eq!(view.pv_version(), 0);
        assert_eq!(view.header_address(), 0);
        assert_eq!(view.components().count(), 1);
    }

    #[test]
    fn limits() {
        assert_eq!(build(IpibForm::Exact, 0, 0, &[]), Err(IpibError::NoComponents));
        let most = vec![Component::new(0, 0, 0); 165];
        assert_eq!(build(IpibForm::Exact, 0, 0, &most).unwrap().len(), 4096);
        let more = vec![Component::new(0, 0, 0); 166];
        assert_eq!(build(IpibForm::Exact, 0, 0, &more), Err(IpibError::TooManyComponents(166)));
    }
}
