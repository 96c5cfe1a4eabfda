//! What the kernel of a protected guest gives its own parts of the secret store: the secret of an id, and the value of a secret,
//! each with an error number (Linux: `uv_get_secret_metadata`, `uv_retrieve_secret`).
//!
//! Who uses it: drivers in the guest, such as that for protected keys. Programs go through [`uvdevice`](crate::guest::uvdevice), which
//! hands the Ultravisor's codes on.
//!
//! | rc | LIST_SECRETS | RETR_SECRET |
//! |---|---|---|
//! | 0x0001 | the list | the secret |
//! | 0x0100 | there is more | EIO |
//! | 0x0002 | ENODEV | ENODEV |
//! | 0x0109 | EIO | EINVAL |
//! | 0x010f, 0x0110, 0x0111 | EIO | ENOENT |
//! | others, a program interruption | EIO | EIO |
//!
//! Source: s390-ultravisor §9.4.

mod metadata;
mod retrieve;
#[cfg(test)]
mod tests;

pub use metadata::get_secret_metadata;
pub use retrieve::retrieve_secret;

use crate::abi::Errno;
use crate::abi::uvc::{self, Block, CallError, Retries, UvCall, UvRc};

/// Issues a call until it is done; gives the rc in the block, whatever the condition code was.
fn call<T: Block>(uvc: &dyn UvCall, block: &mut T) -> Result<UvRc, Errno> {
    match uvc::call(uvc, block, Retries::PATIENT) {
        Err(CallError::Interrupted { .. }) => Err(Errno::EIO),
        Ok(()) | Err(CallError::Refused(_)) => Ok(block.header().rc()),
    }
}
