//! The area that a vCPU's file descriptor maps.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::ptr::{self, NonNull};

use uv_s390::hypervisor::uapi::KvmRun;

/// A mapping of the size that the kernel said.
#[derive(Debug)]
pub(crate) struct Area {
    at: NonNull<KvmRun>,
    length: usize,
}

// SAFETY: the mapping belongs to nobody else in this process, and is not bound to a thread.
unsafe impl Send for Area {}
// SAFETY: all accesses are copies through raw pointers; who calls keeps two threads from one vCPU (`Vm` has a lock for each).
unsafe impl Sync for Area {}

impl Area {
    /// Maps a vCPU's area.
    ///
    /// # Errors
    /// The system's, also for less than a `kvm_run`.
    pub(crate) fn new(file: BorrowedFd<'_>, length: usize) -> io::Result<Self> {
        if length < size_of::<KvmRun>() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at a place of the kernel's choice touches no memory of this process.
        let at = unsafe { libc::mmap(ptr::null_mut(), length, access, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let at = NonNull::new(at.cast()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { at, length })
    }

    /// What is in it.
    pub(crate) fn load(&self) -> KvmRun {
        // SAFETY: the mapping is as long as the structure, which any bytes are a value of.
        unsafe { self.at.read_volatile() }
    }

    /// Puts something in.
    pub(crate) fn store(&self, run: KvmRun) {
        // SAFETY: as for the load; the kernel does not look while the vCPU does not run.
        unsafe { self.at.write_volatile(run) }
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        // SAFETY: address and length are those of the mapping, and nobody refers to it.
        unsafe { libc::munmap(self.at.as_ptr().cast(), self.length) };
    }
}
