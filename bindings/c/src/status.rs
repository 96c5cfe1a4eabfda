//! What functions return.

use core::ffi::c_char;
use std::cell::RefCell;

use crate::raw;

/// Done.
pub const UVSIM_OK: i32 = 0;
/// A pointer that must not be NULL is, a number is none of those that the header names, or a length does not fit.
pub const UVSIM_E_ARGUMENT: i32 = -1;
/// The handle is not one, is closed, or is of another kind.
pub const UVSIM_E_HANDLE: i32 = -2;
/// The configuration is of another version of the interface.
pub const UVSIM_E_VERSION: i32 = -3;
/// A key cannot be read. The text says why.
pub const UVSIM_E_KEY: i32 = -4;
/// There is nothing of that name: no configuration with the handle, no SE header of an ordinary guest.
pub const UVSIM_E_NOT_FOUND: i32 = -5;
/// The caller's memory has nothing there.
pub const UVSIM_E_MEMORY: i32 = -6;
/// A defect of the library. What the call was about is in no known state; close it.
pub const UVSIM_E_PANIC: i32 = -7;

/// A call that was not done.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: i32,
    pub(crate) text: String,
}

impl Failure {
    pub(crate) fn new(status: i32, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    pub(crate) fn argument(text: impl Into<String>) -> Self {
        Self::new(UVSIM_E_ARGUMENT, text)
    }
}

pub(crate) type Done = Result<(), Failure>;

thread_local! {
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

pub(crate) fn remember(text: &str) {
    LAST.with_borrow_mut(|last| text.clone_into(last));
}

/// The text of the last call of this thread that did not return UVSIM_OK, in English, with a NUL at its end.
///
/// Writes at most `len` bytes to `into`; a text that is longer is cut. Returns the length of the whole text without its NUL,
/// so that a caller with `len` 0 (`into` may be NULL then) learns how much room it needs.
///
/// # Safety
/// `into` points to `len` bytes that may be written, or `len` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uvsim_last_error(into: *mut c_char, len: usize) -> usize {
    let text = LAST.with_borrow(Clone::clone);
    // SAFETY: the caller's promise is the one of `put_text`.
    unsafe { raw::put_text(&text, into, len) }
}
