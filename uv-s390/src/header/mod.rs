//! The Secure Execution header: the authenticated part of an image that names who may open it and what
//! the components must be.
//!
//! Layout, flags and checks are always here; opening and writing a header need the feature `image`.
//! A header has three looks:
//!
//! * [`HeaderView`]: bytes from outside, each check callable alone and with its own error;
//! * [`SeHeader`]: the plain part is consistent, nothing is authenticated yet;
//! * [`ConfidentialArea`]: the decrypted part. Having one means that the tag was right.
//!
//! Sources: s390-formats §2, s390-ultravisor §10.

mod error;
mod flags;
mod layout;
#[cfg(feature = "image")]
mod open;
mod parsed;
#[cfg(feature = "image")]
mod seal;
mod view;

#[cfg(all(test, feature = "image"))]
mod crypto_tests;
#[cfg(test)]
mod tests;

pub use error::HeaderError;
pub use flags::{PlaintextControlFlags, SecretControlFlags};
pub use layout::{ConfidentialArea, FixedPart, HeaderFormat, HeaderVersion, MAGIC, MAX_SIZE, TAG_SIZE};
#[cfg(feature = "image")]
pub use open::OpenedHeader;
pub use parsed::SeHeader;
#[cfg(feature = "image")]
pub use seal::HeaderContent;
pub use view::HeaderView;
