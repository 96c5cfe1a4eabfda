//! Why an image file cannot be read.

use thiserror::Error;

use super::digest::MeasurementError;
use crate::header::HeaderError;

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
    Ipib(&'static str),
    /// An entry of the component list is not usable.
    #[error("component {index} of the image is not valid: {reason}")]
    Component {
        /// Place in the component list, from 0.
        index: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// The components are not those of the header.
    #[error(transparent)]
    Measurement(#[from] MeasurementError),
}
