//! Whether a kernel file can be booted from an image.
//!
//! Source: s390-formats §4.6.

use thiserror::Error;

/// File offset of the mark of a raw kernel.
const MARK_OFFSET: usize = 0x10008;
/// The mark.
const MARK: &[u8] = b"S390EP";
/// File offset of the 8-byte maximum command line size.
const MAX_COMMAND_LINE_OFFSET: usize = 0x10430;
/// Maximum when the field holds 0.
const DEFAULT_MAX_COMMAND_LINE: u64 = 896;

/// Why a kernel, or a command line for it, is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KernelError {
    /// The file is an ELF file; a raw kernel is needed.
    #[error("the kernel is an ELF file; a raw kernel image is needed")]
    Elf,
    /// The file is too short to be a kernel.
    #[error("the kernel has only {0} bytes, too few for a raw kernel image")]
    TooShort(usize),
    /// The mark of a raw kernel is missing.
    #[error("the kernel is not a raw s390 kernel image (mark S390EP is missing)")]
    NoMark,
    /// The command line is longer than the kernel takes.
    #[error("the command line has {length} bytes with its NUL; the kernel takes at most {maximum}")]
    CommandLine {
        /// Bytes of the command line, NUL included.
        length: u64,
        /// Most bytes that the kernel takes, NUL included.
        maximum: u64,
    },
}

/// Checks that `kernel` is a raw kernel, as the image builder does.
///
/// # Errors
/// [`KernelError::Elf`], [`KernelError::TooShort`], [`KernelError::NoMark`], in this order.
pub fn check_kernel(kernel: &[u8]) -> Result<(), KernelError> {
    if kernel.starts_with(b"\x7fELF") {
        return Err(KernelError::Elf);
    }
    match kernel.get(MARK_OFFSET..MARK_OFFSET + MARK.len()) {
        None => Err(KernelError::TooShort(kernel.len())),
        Some(mark) if mark == MARK => Ok(()),
        Some(_) => Err(KernelError::NoMark),
    }
}

/// Most bytes of command line, NUL included, that `kernel` takes.
///
/// # Errors
/// [`KernelError::TooShort`] if the kernel does not have the field.
pub fn max_command_line(kernel: &[u8]) -> Result<u64, KernelError> {
    let field = kernel
        .get(MAX_COMMAND_LINE_OFFSET..)
        .and_then(<[u8]>::first_chunk::<8>)
        .ok_or(KernelError::TooShort(kernel.len()))?;
    Ok(match u64::from_be_bytes(*field) {
        0 => DEFAULT_MAX_COMMAND_LINE,
        maximum => maximum,
    })
}

/// Checks that a command line of `length` bytes, NUL included, is not longer than `kernel` takes.
///
/// # Errors
/// [`KernelError::TooShort`] or [`KernelError::CommandLine`].
pub fn check_command_line(kernel: &[u8], length: u64) -> Result<(), KernelError> {
    let maximum = max_command_line(kernel)?;
    if length > maximum { Err(KernelError::CommandLine { length, maximum }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    fn kernel(maximum: u64) -> Vec<u8> {
        let mut kernel = vec![0; 0x10438];
        kernel[0x10008..0x1000e].copy_from_slice(b"S390EP");
        kernel[0x10430..].copy_from_slice(&maximum.to_be_bytes());
        kernel
    }

    #[test]
    fn raw_kernels_only() {
        assert_eq!(check_kernel(&kernel(0)), Ok(()));
        assert_eq!(check_kernel(b"\x7fELF"), Err(KernelError::Elf));
        assert_eq!(check_kernel(&kernel(0)[..0x1000d]), Err(KernelError::TooShort(0x1000d)));
        assert_eq!(check_kernel(&[]), Err(KernelError::TooShort(0)));
        assert_eq!(check_kernel(&vec![0; 0x11000]), Err(KernelError::NoMark));
    }

    #[test]
    fn command_line_limit() {
        assert_eq!(check_command_line(&kernel(0), 896), Ok(()));
        assert_eq!(check_command_line(&kernel(0), 897), Err(KernelError::CommandLine { length: 897, maximum: 896 }));
        assert_eq!(check_command_line(&kernel(4096), 4096), Ok(()));
        assert_eq!(check_command_line(&kernel(0)[..0x10437], 1), Err(KernelError::TooShort(0x10437)));
    }
}
