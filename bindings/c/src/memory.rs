//! The caller's memory.

use core::ffi::c_void;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use uv_core::{AccessError, HostAddr, NormalMemory};

use crate::status::Failure;

/// The caller's memory, from address 0 on: what is host memory of a machine, or the storage of an emulated guest.
///
/// Either `base` is not NULL, and the memory is the `size` bytes there; or `base` is NULL, and `read` and `write` reach it.
/// Either way it may be used by other threads and devices at the same time, and has to stay until the handle that it was
/// given for is closed. Its address must be a multiple of 8.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct uvsim_memory {
    /// First byte, or NULL.
    pub base: *mut u8,
    /// Bytes. A machine for a host needs more than 2 GiB, of which only what is used has to be there.
    pub size: u64,
    /// Handed to the callbacks.
    pub context: *mut c_void,
    /// Copies `len` bytes at `address` to `into`. Returns 0; anything else when there is no memory in the range.
    /// Called from any thread, from several at once.
    pub read: Option<unsafe extern "C" fn(context: *mut c_void, address: u64, into: *mut c_void, len: u64) -> i32>,
    /// Copies `len` bytes from `from` to `address`. Returns 0; anything else, and nothing was written, when there is no
    /// memory in the range. Called from any thread, from several at once.
    pub write: Option<unsafe extern "C" fn(context: *mut c_void, address: u64, from: *const c_void, len: u64) -> i32>,
    /// Whether all of `len` bytes at `address` can be read and written: returns 0 when they can. NULL: what lies below
    /// `size` can.
    pub check: Option<unsafe extern "C" fn(context: *mut c_void, address: u64, len: u64) -> i32>,
}

/// The same, with the caller's promises.
#[derive(Debug)]
pub(crate) struct Memory(uvsim_memory);

// SAFETY: the header asks of the caller that memory and callbacks can be used from any thread.
unsafe impl Send for Memory {}
// SAFETY: as above; and at once. Bytes behind `base` are only reached by atomic accesses.
unsafe impl Sync for Memory {}

impl Memory {
    /// # Errors
    /// Neither a base nor both callbacks; a base that is not aligned or does not leave `size` bytes of address space.
    pub(crate) fn new(memory: uvsim_memory) -> Result<Self, Failure> {
        if memory.base.is_null() {
            if memory.read.is_none() || memory.write.is_none() {
                return Err(Failure::argument("the memory has neither a base nor the callbacks read and write"));
            }
        } else {
            let last = usize::try_from(memory.size).ok().and_then(|size| memory.base.addr().checked_add(size));
            if !memory.base.addr().is_multiple_of(8) || last.is_none() {
                return Err(Failure::argument("the memory's base is not a multiple of 8, or its size is too large"));
            }
        }
        Ok(Self(memory))
    }

    pub(crate) fn size(&self) -> u64 {
        self.0.size
    }

    fn unmapped(at: HostAddr, len: usize) -> AccessError {
        AccessError::Unmapped { at, len }
    }

    fn within(&self, at: HostAddr, len: usize) -> Result<(), AccessError> {
        let end = u64::try_from(len).ok().and_then(|len| at.0.checked_add(len));
        end.filter(|end| *end <= self.0.size).map(|_| ()).ok_or_else(|| Self::unmapped(at, len))
    }

    /// The byte at an address that lies within.
    fn place(&self, at: u64) -> *mut u8 {
        // `new` has looked that the size fits.
        self.0.base.wrapping_add(usize::try_from(at).unwrap_or(0))
    }

    /// Walks `len` bytes: whole aligned words by `word`, the others by `byte`, each with its offset.
    fn each(at: u64, len: usize, mut word: impl FnMut(u64, usize), mut byte: impl FnMut(u64, usize)) {
        let (mut at, mut done) = (at, 0);
        while done < len {
            if at.is_multiple_of(8) && len - done >= 8 {
                word(at, done);
                (at, done) = (at + 8, done + 8);
            } else {
                byte(at, done);
                (at, done) = (at + 1, done + 1);
            }
        }
    }

    fn word(&self, at: u64) -> &AtomicU64 {
        // SAFETY: callers go over ranges that `within` has seen, in steps of 8 from an aligned base, so the word is there and
        // aligned; it stays as long as `self`, and everybody else is asked to bear atomic accesses.
        unsafe { AtomicU64::from_ptr(self.place(at).cast()) }
    }

    fn byte(&self, at: u64) -> &AtomicU8 {
        // SAFETY: as for a word, without alignment.
        unsafe { AtomicU8::from_ptr(self.place(at)) }
    }
}

impl NormalMemory for Memory {
    fn read(&self, at: HostAddr, into: &mut [u8]) -> Result<(), AccessError> {
        let len = into.len();
        self.within(at, len)?;
        if self.0.base.is_null() {
            let Some(read) = self.0.read else { return Err(Self::unmapped(at, len)) };
            let count = u64::try_from(len).unwrap_or(u64::MAX);
            // SAFETY: the callback is the caller's, made for any thread; the buffer has `count` bytes.
            let status = unsafe { read(self.0.context, at.0, into.as_mut_ptr().cast(), count) };
            return if status == 0 { Ok(()) } else { Err(Self::unmapped(at, len)) };
        }
        let into = core::cell::Cell::from_mut(into).as_slice_of_cells();
        Self::each(
            at.0,
            len,
            |at, done| {
                let bytes = self.word(at).load(Ordering::Relaxed).to_ne_bytes();
                into[done..done + 8].iter().zip(bytes).for_each(|(to, byte)| to.set(byte));
            },
            |at, done| into[done].set(self.byte(at).load(Ordering::Relaxed)),
        );
        Ok(())
    }

    fn write(&self, at: HostAddr, from: &[u8]) -> Result<(), AccessError> {
        let len = from.len();
        self.within(at, len)?;
        if self.0.base.is_null() {
            let Some(write) = self.0.write else { return Err(Self::unmapped(at, len)) };
            let count = u64::try_from(len).unwrap_or(u64::MAX);
            // SAFETY: the callback is the caller's, made for any thread; there are `count` bytes to read.
            let status = unsafe { write(self.0.context, at.0, from.as_ptr().cast(), count) };
            return if status == 0 { Ok(()) } else { Err(Self::unmapped(at, len)) };
        }
        Self::each(
            at.0,
            len,
            |at, done| {
                let bytes = core::array::from_fn(|index| from[done + index]);
                self.word(at).store(u64::from_ne_bytes(bytes), Ordering::Relaxed);
            },
            |at, done| self.byte(at).store(from[done], Ordering::Relaxed),
        );
        Ok(())
    }

    fn check(&self, at: HostAddr, len: u64) -> Result<(), AccessError> {
        let count = usize::try_from(len).map_err(|_| Self::unmapped(at, usize::MAX))?;
        self.within(at, count)?;
        match self.0.check.filter(|_| self.0.base.is_null()) {
            None => Ok(()),
            Some(check) => {
                // SAFETY: the callback is the caller's, made for any thread.
                let status = unsafe { check(self.0.context, at.0, len) };
                if status == 0 { Ok(()) } else { Err(Self::unmapped(at, count)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(bytes: &mut [u64]) -> Memory {
        let size = u64::try_from(size_of_val(bytes)).unwrap();
        let none = core::ptr::null_mut();
        let base = bytes.as_mut_ptr().cast();
        Memory::new(uvsim_memory { base, size, context: none, read: None, write: None, check: None }).unwrap()
    }

    #[test]
    fn bytes_keep_their_places() {
        let mut words = [0; 4];
        let memory = over(&mut words);
        let bytes: Vec<u8> = (1..=21).collect();
        memory.write(HostAddr(3), &bytes).unwrap();
        let mut back = [0xee; 26];
        memory.read(HostAddr(1), &mut back).unwrap();
        assert_eq!(back[..2], [0, 0]);
        assert_eq!(back[2..23], bytes);
        assert_eq!(back[23..], [0, 0, 0]);
        assert_eq!(words[0].to_ne_bytes(), [0, 0, 0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn nothing_is_reached_outside() {
        let mut words = [0; 2];
        let memory = over(&mut words);
        for (at, len) in [(15, 2), (16, 1), (u64::MAX, 2)] {
            let outside = Err(AccessError::Unmapped { at: HostAddr(at), len });
            assert_eq!(memory.write(HostAddr(at), &vec![1; len]), outside);
            assert_eq!(memory.read(HostAddr(at), &mut vec![0; len]), outside);
            assert_eq!(memory.check(HostAddr(at), u64::try_from(len).unwrap()), outside);
        }
        assert_eq!(memory.check(HostAddr(16), 0), Ok(()));
        assert_eq!(words, [0, 0]);
    }

    #[test]
    fn memory_that_is_none() {
        let mut words = [0_u64; 2];
        let none = core::ptr::null_mut();
        let nothing = uvsim_memory { base: none, size: 16, context: none.cast(), read: None, write: None, check: None };
        assert!(Memory::new(nothing).is_err());
        let base = words.as_mut_ptr().cast::<u8>().wrapping_add(1);
        assert!(Memory::new(uvsim_memory { base, ..nothing }).is_err());
        let base = words.as_mut_ptr().cast::<u8>();
        assert!(Memory::new(uvsim_memory { base, size: u64::MAX, ..nothing }).is_err());
    }
}
