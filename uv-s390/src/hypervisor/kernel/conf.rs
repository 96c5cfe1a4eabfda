//! Creating and destroying the secure configuration of a VM.

use core::sync::atomic::Ordering;

use super::vm::Root;
use super::{Allocation, HostError, Vm};
use crate::abi::uvcb::{CreateConf, NoData, UvCommand};

/// A configuration and the storage donated for it.
#[derive(Debug)]
pub(super) struct SecureConf {
    pub(super) handle: u64,
    pub(super) storage: ConfStorage,
    /// The root that its ASCE designates, when the guest has another one by now.
    pub(super) old_root: Option<Root>,
}

/// Base and variable storage.
#[derive(Debug)]
pub(super) struct ConfStorage {
    base: Allocation,
    variable: Allocation,
}

impl Vm {
    /// KVM_PV_ENABLE: makes the configuration, then a secure CPU for each vCPU.
    ///
    /// After success the VM is protected; no image is set yet. After an error the VM is ordinary again and all donated storage
    /// came back, except that of CPUs which the Ultravisor refused to give back, which stays taken. When it refuses to
    /// destroy the configuration, the VM stays protected, with no CPU that is: [`Vm::disable`] tries again.
    ///
    /// # Errors
    /// [`HostError::Protected`]; [`HostError::NoStorage`]; [`HostError::Call`] of CREATE_SEC_CONF or CREATE_SEC_CPU, also when
    /// undoing it failed.
    pub fn enable(&self) -> Result<(), HostError> {
        let _lock = self.lock.lock();
        if self.is_protected() {
            return Err(HostError::Protected);
        }
        self.take_cpu_states();
        self.gmap.split_huge();
        self.unpacked.store(0, Ordering::Relaxed);
        self.verified.store(false, Ordering::Release);
        self.create_configuration()?;
        if let Err(error) = self.create_secure_cpus() {
            // Only the first failure is reported.
            let _ = self.destroy_configuration();
            return Err(error);
        }
        self.floating.lock().mask_service();
        tracing::info!("VM is protected");
        Ok(())
    }

    fn create_configuration(&self) -> Result<(), HostError> {
        let storage = self.allocate_conf_storage()?;
        let mut block = CreateConf::new();
        block.conf_base_stor_origin = storage.base.origin().0.into();
        block.conf_virt_stor_origin = storage.variable.origin().0.into();
        block.guest_stor_len = self.storage_len().into();
        block.guest_sca = self.sca_origin.0.into();
        block.guest_asce = self.asce().0.into();
        block.flags = self.conf_flags().bits().into();
        let result = self.host.call(&mut block);
        let handle = block.guest_handle.get();
        match result {
            Ok(()) => {
                self.count_protected();
                *self.conf.write() = Some(SecureConf { handle, storage, old_root: None });
                Ok(())
            }
            Err(error) => {
                if error.refused().is_some_and(|refused| refused.rc.needs_destroy()) {
                    // The configuration exists in part: its storage comes back only through DESTROY_SEC_CONF.
                    self.count_protected();
                    *self.conf.write() = Some(SecureConf { handle, storage, old_root: None });
                    let _ = self.destroy_configuration();
                } else if !HostError::from(error).is_unfinished() {
                    self.free_conf_storage(storage);
                }
                Err(error.into())
            }
        }
    }

    /// DESTROY_SEC_CONF. On failure the VM keeps the handle and stays protected, so it can be tried again; the guest gets a
    /// new root, since the Ultravisor still holds the ASCE.
    pub(super) fn destroy_configuration(&self) -> Result<(), HostError> {
        let mut conf = self.conf.write();
        let handle = conf.as_ref().ok_or(HostError::NotProtected)?.handle;
        match self.host.call(&mut NoData::new(UvCommand::DESTROY_SEC_CONF, handle)) {
            Ok(()) => {
                self.dumping.store(false, Ordering::Release);
                if let Some(conf) = conf.take() {
                    self.free_configuration(conf);
                }
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "configuration not destroyed");
                if let Some(conf) = conf.as_mut().filter(|conf| conf.old_root.is_none()) {
                    // Without storage for another root the guest goes on with this one.
                    conf.old_root = self.replace_root().unwrap_or(None);
                }
                Err(error.into())
            }
        }
    }

    /// Gives back what a configuration that is gone had.
    pub(super) fn free_configuration(&self, conf: SecureConf) {
        self.uncount_protected();
        self.free_conf_storage(conf.storage);
        if let Some(root) = conf.old_root {
            self.host.drop_root(root);
        }
    }

    /// One more configuration that has pages: it counts until these are gone.
    fn count_protected(&self) {
        self.host.protected.fetch_add(1, Ordering::Relaxed);
        self.process.protected.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn uncount_protected(&self) {
        self.host.protected.fetch_sub(1, Ordering::Relaxed);
        self.process.protected.fetch_sub(1, Ordering::Relaxed);
    }

    fn allocate_conf_storage(&self) -> Result<ConfStorage, HostError> {
        let query = self.host.info();
        let base_len = query.conf_base_phys_stor_len.get();
        let order = base_len.max(1).checked_next_power_of_two().ok_or(HostError::NoStorage(base_len))?;
        let variable_len = query.variable_storage_len(self.storage_len()).ok_or(HostError::NoStorage(u64::MAX))?;
        let base = self.host.allocate(order, order)?;
        match self.host.allocate(variable_len, 0x1000) {
            Ok(variable) => Ok(ConfStorage { base, variable }),
            Err(error) => {
                self.host.pages.free(base);
                Err(error)
            }
        }
    }

    pub(super) fn free_conf_storage(&self, storage: ConfStorage) {
        self.host.pages.free(storage.base);
        self.host.pages.free(storage.variable);
    }
}
