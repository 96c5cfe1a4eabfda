//! What attestation requests and add-secret requests have in common (s390-formats §8.1).
//!
//! Who uses it: builders of requests, and the Ultravisor.
//!
//! A request is `header (48) ‖ data of its type ‖ customer key ‖ key slots ‖ more data of its type ‖ encrypted area ‖
//! tag (16)`. Everything before the encrypted area is authenticated; the request key is wrapped in every slot.
//!
//! * [`RequestHeader`]: the 48 bytes in front.
//! * [`RequestSecrets`]: what the guest owner draws for one request (IV, request key, customer key pair).
//! * [`ImageIdentity`]: the four fields of an SE header that tie a request or a measurement to one image.
//! * [`ConfigUid`]: the id of one running guest.

mod build;
mod header;
mod identity;
mod sealed;

pub use build::{BuildError, RequestSecrets};
pub(crate) use build::{RequestParts, reseal, seal};
pub use header::{MAX_REQUEST_SIZE, REQUEST_HEADER_SIZE, REQUEST_VERSION_1, RequestHeader};
pub use identity::{ConfigUid, ImageIdentity};
pub(crate) use sealed::SealedRequest;
pub use sealed::{OpenError, OpenedRequest};
