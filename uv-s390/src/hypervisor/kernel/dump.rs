//! Dump calls of the kernel. Memory itself is read as ciphertext with [`Vm::host_read`].

use super::cpu::secure_handle;
use super::{Host, HostError, Vm};
use crate::abi::uvc::Block;
use crate::abi::uvcb::{DumpComplete, DumpCpu, DumpStorageState, NoData, UvCommand};
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use uv_core::{GuestAddr, HostAddr};

impl Host {
    /// Whether the machine has all dump calls.
    #[must_use]
    pub fn can_dump(&self) -> bool {
        let calls =
            [UvCommand::DUMP_INIT, UvCommand::DUMP_CONF_STOR_STATE, UvCommand::DUMP_CPU, UvCommand::DUMP_COMPLETE];
        calls.into_iter().all(|call| self.has(call))
    }
}

impl Vm {
    /// As [`Host::can_dump`].
    #[must_use]
    pub fn can_dump(&self) -> bool {
        self.host.can_dump()
    }

    /// DUMP_INIT: begins a dump. No CPU of the VM runs until it is complete; a run at work ends.
    ///
    /// # Errors
    /// [`HostError::NotProtected`], [`HostError::Dump`] when one is in progress, [`HostError::Call`] when the owner does not allow
    /// it.
    pub fn dump_init(&self) -> Result<(), HostError> {
        let _lock = self.lock.lock();
        let handle = self.handle()?;
        if self.is_dumping() {
            return Err(HostError::Dump);
        }
        // No CPU is in the guest during the call, and none gets in.
        self.dumping.store(true, Ordering::SeqCst);
        for cpu in self.cpus.read().iter() {
            drop(cpu.in_sie.lock());
        }
        let begun = self.host.call(&mut NoData::new(UvCommand::DUMP_INIT, handle));
        if begun.is_err() {
            self.dumping.store(false, Ordering::SeqCst);
        }
        Ok(begun?)
    }

    /// DUMP_CPU: the encrypted registers of a CPU.
    ///
    /// # Errors
    /// [`HostError::Dump`] without [`Vm::dump_init`], [`HostError::Cpu`], [`HostError::Call`].
    pub fn dump_cpu(&self, number: u16) -> Result<Vec<u8>, HostError> {
        let cpu = self.cpu(number)?;
        let handle = secure_handle(&cpu)?;
        self.dump_call(self.host.info().cpu_stor_len.get(), |area| DumpCpu::new(handle, area.0))
    }

    /// DUMP_CONF_STOR_STATE: the tweaks of the MiB of guest storage at `at`, 16 bytes for each page.
    ///
    /// # Errors
    /// [`HostError::Dump`] without [`Vm::dump_init`], [`HostError::Call`].
    pub fn dump_storage_state(&self, at: GuestAddr) -> Result<Vec<u8>, HostError> {
        let _lock = self.lock.lock();
        let handle = self.handle()?;
        self.dump_call(self.host.info().dump_storage_state_len.get(), |area| {
            DumpStorageState::new(handle, area.0, at.0)
        })
    }

    /// DUMP_COMPLETE: ends the dump; the CPUs may run again.
    ///
    /// # Errors
    /// [`HostError::Dump`] without [`Vm::dump_init`], [`HostError::Call`]: the dump goes on.
    pub fn dump_complete(&self) -> Result<Vec<u8>, HostError> {
        let _lock = self.lock.lock();
        let handle = self.handle()?;
        let data =
            self.dump_call(self.host.info().dump_finalize_len.get(), |area| DumpComplete::new(handle, area.0))?;
        self.dumping.store(false, Ordering::Release);
        Ok(data)
    }

    /// Issues a dump call with an area of `len` bytes and returns what it left there.
    fn dump_call<T: Block>(&self, len: u64, block: impl FnOnce(HostAddr) -> T) -> Result<Vec<u8>, HostError> {
        if !self.is_dumping() {
            return Err(HostError::Dump);
        }
        let area = self.host.allocate_zeroed(len, 0x1000)?;
        let mut data = vec![0; usize::try_from(len).map_err(|_| HostError::NoStorage(len))?];
        let result = self.host.call(&mut block(area.origin())).map_err(HostError::from);
        let read = result.and_then(|()| Ok(self.host.hardware.memory.read(area.origin(), &mut data)?));
        self.host.pages.free(area);
        read.map(|()| data)
    }
}
