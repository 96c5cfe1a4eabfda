//! `/dev/kvm` itself: what a VMM asks before it has a VM.

use alloc::sync::Arc;

use uv_core::{MemSlots, PageSize};

use super::kernel::check_system;
use super::{Errno, request};
use crate::hypervisor::kernel::{Host, HostError, Process, Vm, VmConfig};

/// What an ioctl on the system gives.
#[derive(Clone, Debug)]
pub enum SystemAnswer {
    /// A number.
    Value(u64),
    /// KVM_CREATE_VM: where a file descriptor would be, the VM.
    Vm(Arc<Vm>),
}

/// `/dev/kvm`, opened by one process.
#[derive(Clone, Debug)]
pub struct System {
    host: Arc<Host>,
    process: Arc<Process>,
}

impl System {
    /// What KVM_GET_API_VERSION gives, always.
    pub const API_VERSION: u64 = 12;
    /// What KVM_GET_VCPU_MMAP_SIZE gives: the shared area of a vCPU is one page.
    pub const VCPU_MMAP_SIZE: u64 = 4096;

    /// Opens the device in a process of its own.
    #[must_use]
    pub fn open(host: Arc<Host>) -> Self {
        Self { host, process: Arc::default() }
    }

    /// Issues an ioctl. Of a VM that is made here the memory slots and vCPUs come later, with KVM_SET_USER_MEMORY_REGION and
    /// KVM_CREATE_VCPU.
    ///
    /// | request | value | result |
    /// |---|---|---|
    /// | KVM_GET_API_VERSION | 0 | 12 |
    /// | KVM_CHECK_EXTENSION | capability | as for a VM |
    /// | KVM_CREATE_VM | type 0 | the VM |
    /// | KVM_GET_VCPU_MMAP_SIZE | 0 | 4096 |
    ///
    /// # Errors
    /// [`Errno::EINVAL`] for another value, and for a request that is none of these (the kernel has no ENOTTY here);
    /// [`Errno::ENOMEM`].
    pub fn ioctl(&self, number: u32, value: u64) -> Result<SystemAnswer, Errno> {
        let result = match (number, value) {
            (request::GET_API_VERSION, 0) => Ok(SystemAnswer::Value(Self::API_VERSION)),
            (request::GET_VCPU_MMAP_SIZE, 0) => Ok(SystemAnswer::Value(Self::VCPU_MMAP_SIZE)),
            (request::CHECK_EXTENSION, number) => Ok(SystemAnswer::Value(check_system(&self.host, number))),
            (request::CREATE_VM, 0) => self.create_vm().map(SystemAnswer::Vm),
            _ => Err(Errno::EINVAL),
        };
        tracing::debug!(request = request::name(number).unwrap_or("unknown"), value, ok = result.is_ok(), "ioctl");
        result
    }

    fn create_vm(&self) -> Result<Arc<Vm>, Errno> {
        let config = VmConfig { process: self.process.clone(), ..VmConfig::new(MemSlots::new(PageSize::K4)) };
        Vm::new(self.host.clone(), config).map_err(|error| match error {
            HostError::NoStorage(_) => Errno::ENOMEM,
            _ => Errno::EINVAL,
        })
    }
}
