//! The Ultravisor as the kernel finds it at boot: query, donate, initialize.

use core::sync::atomic::{AtomicU64, Ordering};

use alloc::sync::Arc;
use uv_core::HostAddr;

use super::{Allocation, Hardware, HostError, HostPages};
use crate::abi::uvc::{self, Block, CallError, Retries};
use crate::abi::uvcb::{Features, InitUv, QueryInfo, UvCommand};

/// First address that the Ultravisor's own storage may have.
const INIT_FROM: HostAddr = HostAddr(2 << 30);
/// Its alignment.
const INIT_ALIGN: u64 = 1 << 20;

/// The hypervisor's kernel on one machine: what Linux keeps about the Ultravisor, and the storage it donates from.
///
/// Holds no key and reaches no secure page.
#[derive(Debug)]
pub struct Host {
    pub(super) hardware: Hardware,
    pub(super) pages: HostPages,
    query: QueryInfo,
    /// Storage donated with INIT_UV; kept for as long as the machine runs.
    _base: Allocation,
    /// Protected configurations at this moment.
    pub(super) protected: AtomicU64,
}

impl Host {
    /// Queries the Ultravisor, donates its base storage and initializes it. To be called once for a machine, while one host
    /// CPU runs.
    ///
    /// # Errors
    /// [`HostError::NoUltravisor`] when INIT_UV is not installed; [`HostError::NoStorage`] without a free stretch of the
    /// queried length at or above 2 GiB; [`HostError::Call`] (INIT_UV: 0x0101 done before, 0x0102 more CPUs running, …): the
    /// storage is free again.
    pub fn start(hardware: Hardware, pages: HostPages) -> Result<Arc<Self>, HostError> {
        let query = uvc::query(&hardware.uvc)?;
        if !query.calls.is_host() {
            return Err(HostError::NoUltravisor);
        }
        let len = query.uv_base_stor_len.get();
        let base = pages.allocate(len, INIT_ALIGN, INIT_FROM).ok_or(HostError::NoStorage(len))?;
        let mut block = InitUv::new(base.origin().0, len);
        if let Err(error) = uvc::call(&hardware.uvc, &mut block, Retries::PATIENT) {
            pages.free(base);
            return Err(error.into());
        }
        tracing::info!(origin = %base.origin(), len, "Ultravisor initialized");
        Ok(Arc::new(Self { hardware, pages, query, _base: base, protected: AtomicU64::new(0) }))
    }

    /// What the machine can do, as it said at start.
    #[must_use]
    pub const fn info(&self) -> &QueryInfo {
        &self.query
    }

    /// The feature indications.
    #[must_use]
    pub fn features(&self) -> Features {
        self.query.features()
    }

    /// Whether a call is installed. A call without a published bit (DESTR_SEC_STOR) counts as installed: a host can only try.
    #[must_use]
    pub fn has(&self, command: UvCommand) -> bool {
        self.query.calls.has(command).unwrap_or(true)
    }

    /// Number of protected configurations at this moment.
    #[must_use]
    pub fn protected_count(&self) -> u64 {
        self.protected.load(Ordering::Relaxed)
    }

    /// Bytes of host storage that are neither donated nor used by the kernel.
    #[must_use]
    pub fn free_storage(&self) -> u64 {
        self.pages.free_bytes()
    }

    /// The machine below.
    #[must_use]
    pub const fn hardware(&self) -> &Hardware {
        &self.hardware
    }

    /// Takes storage for the kernel.
    pub(super) fn allocate(&self, bytes: u64, align: u64) -> Result<Allocation, HostError> {
        self.pages.allocate(bytes, align, HostAddr(0)).ok_or(HostError::NoStorage(bytes))
    }

    /// Takes storage and fills it with zeros.
    pub(super) fn allocate_zeroed(&self, bytes: u64, align: u64) -> Result<Allocation, HostError> {
        let allocation = self.allocate(bytes, align)?;
        match self.clear(&allocation) {
            Ok(()) => Ok(allocation),
            Err(error) => {
                self.pages.free(allocation);
                Err(error)
            }
        }
    }

    fn clear(&self, allocation: &Allocation) -> Result<(), HostError> {
        let mut at = allocation.origin().0;
        while at < allocation.origin().0 + allocation.bytes() {
            self.hardware.memory.write(HostAddr(at), &[0; 0x1000])?;
            at += 0x1000;
        }
        Ok(())
    }

    /// Issues a call until it is done, as Linux does for all commands but imports.
    pub(super) fn call<T: Block>(&self, block: &mut T) -> Result<(), CallError> {
        uvc::call(&self.hardware.uvc, block, Retries::PATIENT)
    }
}
