//! Writing and opening the Secure Execution header: the confidential part, its keys and its tag.
//!
//! Who uses it: who builds images, and the Ultravisor, which opens them.
//!
//! The owner writes a header ([`HeaderContent`]); the Ultravisor, which holds the private host key, opens it
//! ([`OpenedHeader`]). Layout and checks of the plain part are in [`abi::se_header`](crate::abi::se_header).
//!
//! Sources: s390-formats §2, s390-ultravisor §10.

mod open;
mod seal;

#[cfg(test)]
mod crypto_tests;

pub use open::OpenedHeader;
pub use seal::HeaderContent;
