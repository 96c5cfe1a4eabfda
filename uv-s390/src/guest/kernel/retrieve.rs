//! The value of a secret.

use alloc::vec;
use alloc::vec::Vec;

use uv_core::GuestAddr;
use zeroize::Zeroizing;

use super::call;
use crate::abi::Errno;
use crate::abi::uvc::UvRc;
use crate::abi::uvcb::RetrieveSecret;
use crate::guest::uvdevice::GuestKernel;

/// Retrieves `len` bytes of the secret with an index; the metadata tell how many there are.
///
/// `buffer` is private memory of the kernel of this length, which is cleared afterwards.
///
/// # Errors
/// [`Errno::ENOENT`] when there is no secret with this index, or one that cannot be retrieved; [`Errno::EINVAL`] when it is
/// longer, [`Errno::ENODEV`] without RETR_SECRET, [`Errno::EIO`].
pub fn retrieve_secret(
    kernel: &dyn GuestKernel,
    buffer: GuestAddr,
    index: u16,
    len: u32,
) -> Result<Zeroizing<Vec<u8>>, Errno> {
    let mut secret = Zeroizing::new(vec![0; usize::try_from(len).map_err(|_| Errno::EINVAL)?]);
    match call(kernel, &mut RetrieveSecret::new(index, buffer.0, len))? {
        UvRc::EXECUTED => {}
        UvRc::INVALID_COMMAND => return Err(Errno::ENODEV),
        UvRc::RETRIEVE_EMPTY | UvRc::RETRIEVE_INDEX | UvRc::RETRIEVE_TYPE => return Err(Errno::ENOENT),
        UvRc::RETRIEVE_SIZE => return Err(Errno::EINVAL),
        _ => return Err(Errno::EIO),
    }
    kernel.load(buffer, &mut secret).map_err(|_| Errno::EIO)?;
    kernel.store(buffer, &vec![0; secret.len()]).map_err(|_| Errno::EIO)?;
    Ok(secret)
}
