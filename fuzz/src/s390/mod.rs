//! Everything that the Z half reads from outside.

mod artefacts;
mod documents;
mod machine;
mod requests;
pub(crate) mod seeds;

pub use artefacts::{dump_blocks, dump_file, ipib, se_header, se_image};
pub use documents::{certificate, host_key_chain, s390_key};
pub use machine::{uvc_guest, uvc_host};
pub use requests::{add_secret_request, attestation_request, exchange_file, secret_list};
