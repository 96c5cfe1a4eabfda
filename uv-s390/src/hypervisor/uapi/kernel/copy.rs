//! Between the kernel and user space.

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::abi::Errno;

/// Copies a structure in.
pub(super) fn from_user<T: FromBytes>(bytes: &[u8]) -> Result<T, Errno> {
    T::read_from_prefix(bytes).map(|(value, _)| value).map_err(|_| Errno::EFAULT)
}

/// Copies a structure out.
pub(super) fn to_user<T: IntoBytes + Immutable + ?Sized>(bytes: &mut [u8], value: &T) -> Result<(), Errno> {
    value.write_to_prefix(bytes).map_err(|_| Errno::EFAULT)
}
