//! The secret of an id.

use uv_core::GuestAddr;

use super::call;
use crate::abi::Errno;
use crate::abi::secret::{LIST_PAGE_SIZE, SecretEntry, SecretId, SecretList};
use crate::abi::uvc::UvRc;
use crate::abi::uvcb::ListSecrets;
use crate::guest::uvdevice::GuestKernel;

/// Looks for the first secret with an id, through all pages of the list: its index, type and length.
///
/// `page` is a private page of the kernel that the list goes through. The published kernel means the whole store and ends after
/// the first page all the same; that is not done here.
///
/// # Errors
/// [`Errno::ENOENT`] when there is none, [`Errno::ENODEV`] without LIST_SECRETS, [`Errno::EIO`].
pub fn get_secret_metadata(kernel: &dyn GuestKernel, page: GuestAddr, id: &SecretId) -> Result<SecretEntry, Errno> {
    let mut start = 0;
    loop {
        kernel.store(page, &[0; LIST_PAGE_SIZE]).map_err(|_| Errno::EIO)?;
        let rc = call(kernel, &mut ListSecrets::new(start, page.0))?;
        match rc {
            UvRc::EXECUTED | UvRc::MORE_DATA => {}
            UvRc::INVALID_COMMAND => return Err(Errno::ENODEV),
            _ => return Err(Errno::EIO),
        }
        let mut bytes = [0; LIST_PAGE_SIZE];
        kernel.load(page, &mut bytes).map_err(|_| Errno::EIO)?;
        let list = SecretList::decode(&bytes).map_err(|_| Errno::EIO)?;
        if let Some(entry) = list.entries.iter().find(|entry| entry.id == *id) {
            return Ok(*entry);
        }
        if rc != UvRc::MORE_DATA || list.next_index <= start {
            return Err(Errno::ENOENT);
        }
        start = list.next_index;
    }
}
