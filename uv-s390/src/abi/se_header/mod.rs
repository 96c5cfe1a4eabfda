//! The Secure Execution header: the authenticated part of an image that names who may open it and what
//! the components must be.
//!
//! Who uses it: the owner, the VMM, which hands it on, and the Ultravisor, which checks it.
//!
//! Layout, flags and checks; writing and opening a header is the matter of `owner::se_header` (feature `owner`).
//! A header has three looks:
//!
//! * [`HeaderView`]: bytes from outside, each check callable alone and with its own error;
//! * [`SeHeader`]: the plain part is consistent, nothing is authenticated yet;
//! * [`ConfidentialArea`]: the decrypted part. Having one means that the tag was right.
//!
//! Sources: s390-formats §2, s390-ultravisor §10.

mod checks;
mod error;
mod flags;
mod layout;
mod parsed;
mod view;

#[cfg(test)]
mod tests;

pub use error::HeaderError;
pub use flags::{PlaintextControlFlags, SecretControlFlags};
pub use layout::{ConfidentialArea, FixedPart, HeaderFormat, HeaderVersion, MAGIC, MAX_SIZE, TAG_SIZE};
pub use parsed::SeHeader;
pub use view::HeaderView;
