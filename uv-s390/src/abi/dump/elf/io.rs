//! Where a dump is read from and written to.

use alloc::vec::Vec;

use thiserror::Error;

/// Bytes at any offset, for example a file.
pub trait DumpSource {
    /// What can go wrong.
    type Error: core::error::Error + 'static;

    /// Bytes there are.
    fn size(&self) -> u64;

    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    /// If the bytes cannot all be read.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Self::Error>;
}

/// Takes bytes one after the other.
pub trait DumpSink {
    /// What can go wrong.
    type Error: core::error::Error + 'static;

    /// Takes all of `bytes`.
    ///
    /// # Errors
    /// If they cannot all be written.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;
}

/// A read outside a dump held in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("read of {length} bytes at {offset:#x} is outside the dump")]
pub struct OutOfRange {
    /// Where the read began.
    pub offset: u64,
    /// Its length in bytes.
    pub length: usize,
}

impl DumpSource for &[u8] {
    type Error = OutOfRange;

    fn size(&self) -> u64 {
        u64::try_from(self.len()).unwrap_or(u64::MAX)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), OutOfRange> {
        let bytes = usize::try_from(offset)
            .ok()
            .and_then(|start| self.get(start..)?.get(..buffer.len()))
            .ok_or(OutOfRange { offset, length: buffer.len() })?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}

impl DumpSink for Vec<u8> {
    type Error = OutOfRange;

    fn write(&mut self, bytes: &[u8]) -> Result<(), OutOfRange> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}
