//! Errors: each backend has its own type that keeps the machine's raw code, and says what a generic caller can do.

use core::fmt;

/// What a caller can do about an error without knowing the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Somebody else holds the page or the VM for a moment: the same call, unchanged, may work later.
    Busy,
    /// The call did a part of its work; the same call, unchanged, goes on.
    Partial,
    /// The page is not where the call needs it: page it in (or fault it into normal memory), then call again.
    PageMissing,
    /// An argument is wrong: the same call will never work. Nothing was done.
    InvalidArgument,
    /// The VM or the page is in a state in which this call is refused.
    WrongState,
    /// The caller may not make this call.
    Permission,
    /// What was presented is not what was sealed, signed or measured. Nothing of it was taken.
    Integrity,
    /// Out of secure memory or another limited resource: free some, then call again.
    Exhausted,
    /// This machine cannot do that.
    Unsupported,
    /// The VM, or the machine, is lost.
    Fatal,
}

/// An error of a backend. Its text names no byte of guest memory.
pub trait Error: core::error::Error {
    /// What the caller can do about it.
    fn kind(&self) -> ErrorKind;
}

/// This machine cannot do that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this machine cannot do that")]
pub struct Unsupported;

impl Error for Unsupported {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Unsupported
    }
}

/// Names the error type of a backend; all other traits build on it.
pub trait ErrorType {
    /// The backend's error: keeps the raw code of the machine, and can say that the machine cannot do a thing.
    type Error: Error + From<Unsupported> + 'static;
}

impl<T: ErrorType + ?Sized> ErrorType for &T {
    type Error = T::Error;
}

impl<T: ErrorType + ?Sized> ErrorType for &mut T {
    type Error = T::Error;
}

impl<T: ErrorType + ?Sized> ErrorType for alloc::sync::Arc<T> {
    type Error = T::Error;
}

/// A call on a range stopped before its end.
///
/// The count is exact. The first [`RangeError::done`] pages are done and stay done; page number `done` (from the start of the range)
/// is as it was before the call, and so are all pages after it. The same call goes on when the cause is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeError<E> {
    /// Pages done before the error.
    pub done: u64,
    /// Why the next page was not done.
    pub error: E,
}

impl<E: fmt::Display> fmt::Display for RangeError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after {} pages: {}", self.done, self.error)
    }
}

impl<E: core::error::Error + 'static> core::error::Error for RangeError<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl<E: Error + 'static> Error for RangeError<E> {
    fn kind(&self) -> ErrorKind {
        self.error.kind()
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use core::error::Error as _;

    use super::*;
    use crate::{ArgumentError, Gfn};

    #[test]
    fn an_error_of_a_range_is_its_pages_error_with_a_number() {
        let error = RangeError { done: 7, error: ArgumentError::NoSlot(Gfn(9)) };
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert_eq!(error.to_string(), "after 7 pages: page 0x9 belongs to no memory slot");
        assert_eq!(error.source().map(ToString::to_string), Some(error.error.to_string()));
    }
}
