//! The guest's owner: whoever builds images and holds keys. Files and keys, no machine.
//!
//! Who uses it: tools of the guest's owner; the simulated Ultravisor, for the half that opens.
//!
//! | part | job |
//! |---|---|
//! | [`image`] | build, read and extract SE images |
//! | [`se_header`] | write and open the header of an image |
//! | [`hostkey`] | host-key documents and their certificate chains |
//! | [`attest`] | attestation requests and the verification of responses |
//! | [`secret`] | add-secret requests, lists, retrieved secrets |
//! | [`request`] | what attestation and add-secret requests have in common |
//! | [`dump`] | reading a protected dump |
//! | [`crypto`] | keys and ciphers of all of these |

pub mod attest;
pub mod crypto;
pub mod dump;
pub mod hostkey;
pub mod image;
pub mod request;
pub mod se_header;
pub mod secret;
