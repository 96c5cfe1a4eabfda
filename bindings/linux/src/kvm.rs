//! `/dev/kvm`.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd as _, FromRawFd as _, OwnedFd, RawFd};

use uv_s390::abi::Errno;
use uv_s390::hypervisor::uapi::{System, request};

use crate::call::{Given, ioctl};
use crate::vm::Vm;

/// The device, opened.
#[derive(Debug)]
pub struct Kvm(File);

/// Takes a file descriptor that an ioctl has given.
pub(crate) fn descriptor(given: u64) -> Result<OwnedFd, Errno> {
    let number = RawFd::try_from(given).map_err(|_| Errno::EIO)?;
    // SAFETY: the kernel has just made it for this caller; nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

impl Kvm {
    /// Opens the device.
    ///
    /// # Errors
    /// The system's; one of another API version than [`System::API_VERSION`].
    pub fn open() -> io::Result<Self> {
        let kvm = Self(OpenOptions::new().read(true).write(true).open("/dev/kvm")?);
        let version = kvm.ask(request::GET_API_VERSION, 0);
        let version = version.map_err(|errno| io::Error::from_raw_os_error(errno.0))?;
        if version == System::API_VERSION { Ok(kvm) } else { Err(io::ErrorKind::Unsupported.into()) }
    }

    fn ask(&self, number: u32, value: u64) -> Result<u64, Errno> {
        // SAFETY: these requests take a number, and store to no memory.
        unsafe { ioctl(self.0.as_fd(), number, Given::Value(value)) }
    }

    /// What the kernel has of a capability, before there is a VM.
    ///
    /// # Errors
    /// The error number.
    pub fn check_extension(&self, capability: u64) -> Result<u64, Errno> {
        self.ask(request::CHECK_EXTENSION, capability)
    }

    /// Makes a VM.
    ///
    /// # Errors
    /// The error number.
    pub fn create_vm(&self) -> Result<Vm, Errno> {
        let area = usize::try_from(self.ask(request::GET_VCPU_MMAP_SIZE, 0)?).map_err(|_| Errno::EINVAL)?;
        Ok(Vm::new(descriptor(self.ask(request::CREATE_VM, 0)?)?, area))
    }
}
