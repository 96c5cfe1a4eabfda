//! Why an image file cannot be read.

use thiserror::Error;

use super::digest::MeasurementError;
use crate::abi::se_header::HeaderError;

/// What is wrong with an image file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ImageError {
    /// No SE header where one may be.
    #[error("no SE header found: this is not a Secure Execution image")]
    NoHeader,
    /// The metadata block names a place that holds no SE header.
    #[error("the metadata block names offset {0:#x} for the SE header, but there is none")]
    MetadataHeader(u64),
    /// The header is there but not usable.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// No IPIB where one may be.
    #[error("the image has no IPL parameter block")]
    NoIpib,
    /// The IPIB contradicts itself or the header, or has another type.
    #[error("the IPL parameter block of the image is not valid: {0}")]
    Ipib(IpibFault),
    /// An entry of the component list is not usable.
    #[error("component {index} of the image is not valid: {fault}")]
    Component {
        /// Place in the component list, from 0.
        index: usize,
        /// What is wrong.
        fault: ComponentFault,
    },
    /// The components are not those of the header.
    #[error(transparent)]
    Measurement(#[from] MeasurementError),
}

/// What is wrong with the IPIB of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum IpibFault {
    /// Its total length is more than a page.
    #[error("it is longer than a page")]
    TooLong,
    /// Its block type is not 5.
    #[error("it is of another type")]
    BlockType,
    /// It names no component.
    #[error("it names no component")]
    NoComponents,
    /// Its total length has no room for the components it states.
    #[error("it is too short for its components")]
    TooShort,
    /// It names another address of the SE header.
    #[error("it names another place for the SE header")]
    HeaderAddress,
    /// It names another size of the SE header.
    #[error("it names another size of the SE header")]
    HeaderLength,
    /// The file ends within the component list.
    #[error("its component list is cut off")]
    CutOff,
}

/// What is wrong with an entry of the component list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ComponentFault {
    /// The address is not a multiple of 4096.
    #[error("its address is not that of a page")]
    Address,
    /// The length is 0 or not a multiple of 4096.
    #[error("its length is not a number of pages")]
    Length,
    /// The tweak prefix is not larger than the one before.
    #[error("its tweak prefix does not grow")]
    PrefixOrder,
    /// It begins before the component in front of it ends.
    #[error("it begins before the end of the one before it")]
    Overlap,
    /// It reaches behind the end of the file.
    #[error("it is not all in the file")]
    OutsideFile,
}
