//! What comes and goes by pointer.

use core::ffi::c_char;

use crate::status::{Done, Failure};

/// Copies a structure out of the caller's memory.
///
/// # Safety
/// `from` is NULL, or points to a `T` that may be read; every byte is a valid `T`.
pub(crate) unsafe fn get<T: Copy>(from: *const T, name: &str) -> Result<T, Failure> {
    if from.is_null() {
        return Err(Failure::argument(format!("{name} is NULL")));
    }
    // SAFETY: not NULL, so the caller says that a `T` is there; it need not be aligned.
    Ok(unsafe { from.read_unaligned() })
}

/// Copies a structure to the caller's memory.
///
/// # Safety
/// `to` is NULL, or points to a `T` that may be written.
pub(crate) unsafe fn put<T>(to: *mut T, value: T, name: &str) -> Done {
    if to.is_null() {
        return Err(Failure::argument(format!("{name} is NULL")));
    }
    // SAFETY: not NULL, so the caller says that there is room for a `T`; it need not be aligned.
    unsafe { to.write_unaligned(value) };
    Ok(())
}

/// A copy of bytes of the caller's.
///
/// # Safety
/// `from` points to `len` bytes that may be read, or `len` is 0.
pub(crate) unsafe fn bytes(from: *const u8, len: usize, name: &str) -> Result<Vec<u8>, Failure> {
    if len == 0 {
        return Ok(Vec::new());
    }
    if from.is_null() {
        return Err(Failure::argument(format!("{name} is NULL")));
    }
    let mut copy = vec![0; len];
    // SAFETY: the caller's bytes may be read, the copy is our own, as long, and overlaps nothing.
    unsafe { from.copy_to_nonoverlapping(copy.as_mut_ptr(), len) };
    Ok(copy)
}

/// Writes as many bytes as there is room for.
///
/// # Safety
/// `into` points to `len` bytes that may be written, or `len` is 0.
pub(crate) unsafe fn put_bytes(from: &[u8], into: *mut u8, len: usize) {
    let count = from.len().min(len);
    if count > 0 && !into.is_null() {
        // SAFETY: `count` bytes are there to be read, and the caller has room for them; the slice is not the caller's.
        unsafe { into.copy_from_nonoverlapping(from.as_ptr(), count) };
    }
}

/// Writes a text and a NUL, cut to the room there is; gives the length of the whole text.
///
/// # Safety
/// As [`put_bytes`].
pub(crate) unsafe fn put_text(text: &str, into: *mut c_char, len: usize) -> usize {
    if len > 0 {
        let mut bytes = text.as_bytes().iter().copied().take(len - 1).collect::<Vec<u8>>();
        bytes.push(0);
        // SAFETY: the caller's promise; at most `len` bytes are written.
        unsafe { put_bytes(&bytes, into.cast(), len) };
    }
    text.len()
}
