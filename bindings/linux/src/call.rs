//! The system call.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use uv_s390::abi::Errno;

/// What an ioctl is given.
#[derive(Debug)]
pub(crate) enum Given<'a> {
    /// A number.
    Value(u64),
    /// A structure, whose addresses are those of memory that lives as long, as long as the kernel takes it to be.
    Structure(&'a mut [u8]),
}

/// Issues an ioctl.
///
/// # Safety
/// The kernel stores to the structure and to what its addresses name: all of that must be memory that the caller may change,
/// of the lengths that this request has.
pub(crate) unsafe fn ioctl(file: BorrowedFd<'_>, request: u32, given: Given<'_>) -> Result<u64, Errno> {
    let argument = match given {
        Given::Value(value) => value,
        Given::Structure(bytes) => address(bytes),
    };
    // SAFETY: the caller promises that what the argument leads to may be read and changed.
    let done = unsafe { libc::ioctl(file.as_raw_fd(), request.into(), argument) };
    u64::try_from(done).map_err(|_| Errno(io::Error::last_os_error().raw_os_error().unwrap_or(Errno::EIO.0)))
}

/// Where bytes lie, as a structure has it: the kernel may change them.
pub(crate) fn address(bytes: &mut [u8]) -> u64 {
    u64::try_from(bytes.as_mut_ptr().expose_provenance()).unwrap_or(0)
}
