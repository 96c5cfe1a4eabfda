//! Virtual CPUs and their secure counterparts.

use alloc::sync::Arc;

use spin::Mutex;

use super::interrupt::Local;
use super::registers::{Registers, reset_state};
use super::{Allocation, CpuReset, HostError, Vm};
use crate::abi::sie::{SidaDesignation, fields};
use crate::abi::uvcb::{CpuState, CreateCpu, NoData, SetCpuState, UvCommand};

/// A virtual CPU in the kernel.
#[derive(Debug)]
pub(super) struct Cpu {
    /// CPU address.
    pub(super) number: u16,
    /// The page with the state description.
    pub(super) block: Allocation,
    /// Held by whoever runs the CPU, changes it for user space, or makes or ends its secure CPU (KVM's vCPU mutex). Taken after
    /// the VM's lock, and before all other locks here.
    pub(super) mutex: Mutex<()>,
    /// Held while the CPU is in SIE.
    pub(super) in_sie: Mutex<()>,
    /// The secure CPU.
    pub(super) secure: Mutex<Option<SecureCpu>>,
    /// What the state description has no place for.
    pub(super) registers: Mutex<Registers>,
    /// State by the host's book-keeping. KVM makes CPUs stopped.
    pub(super) stopped: Mutex<bool>,
    /// What is pending for it. Locked after what floats.
    pub(super) local: Mutex<Local>,
    /// Held while the CPU flags in the state description are changed, for other threads change them too.
    pub(super) flags: Mutex<()>,
}

/// What the Ultravisor has for a CPU.
#[derive(Debug)]
pub(super) struct SecureCpu {
    pub(super) handle: u64,
    storage: Allocation,
    pub(super) sida: Allocation,
}

impl Vm {
    /// Adds a virtual CPU, stopped and clear. For a protected VM a secure CPU is made at once.
    ///
    /// # Errors
    /// [`HostError::Cpu`] for a number that is taken or above the machine's highest; [`HostError::NoStorage`];
    /// [`HostError::Call`] of CREATE_SEC_CPU: the CPU does not exist then.
    pub fn add_cpu(&self, number: u16) -> Result<(), HostError> {
        let _lock = self.lock.lock();
        let mut cpus = self.cpus.write();
        let known = cpus.iter().any(|cpu| cpu.number == number);
        if known || number > self.host.info().max_guest_cpu_id.get() {
            return Err(HostError::Cpu(number));
        }
        let block = self.host.allocate_zeroed(0x1000, 0x1000)?;
        self.host.hardware.update_state(block.origin(), |state| {
            state.cpu_address = number.into();
            state.set_sca_origin(self.sca_origin.0);
            state.ecb2 = fields::ECB2_EXTENDED_SCA;
            // As KVM does: never less than guest storage, which may still grow.
            state.msl = self.host.info().max_guest_stor_addr;
            reset_state(state, CpuReset::Clear);
        })?;
        let cpu = Arc::new(Cpu {
            number,
            block,
            mutex: Mutex::new(()),
            in_sie: Mutex::new(()),
            secure: Mutex::new(None),
            registers: Mutex::default(),
            stopped: Mutex::new(true),
            local: Mutex::default(),
            flags: Mutex::new(()),
        });
        if self.is_protected()
            && let Err(error) = self.create_secure_cpu(&cpu)
        {
            // A secure CPU that may exist keeps its state description.
            let free = !error.is_unfinished() && !cpu.is_protected();
            if let (true, Ok(cpu)) = (free, Arc::try_unwrap(cpu)) {
                self.host.pages.free(cpu.block);
            }
            return Err(error);
        }
        cpus.push(cpu);
        Ok(())
    }

    /// Number of virtual CPUs.
    #[must_use]
    pub fn cpu_count(&self) -> usize {
        self.cpus.read().len()
    }

    /// The CPU numbers in the order in which the CPUs were added.
    #[must_use]
    pub fn cpu_numbers(&self) -> alloc::vec::Vec<u16> {
        self.cpus.read().iter().map(|cpu| cpu.number).collect()
    }

    pub(super) fn cpu(&self, number: u16) -> Result<Arc<Cpu>, HostError> {
        self.cpus.read().iter().find(|cpu| cpu.number == number).cloned().ok_or(HostError::Cpu(number))
    }

    /// Makes secure CPUs for all; on failure those made are destroyed.
    pub(super) fn create_secure_cpus(&self) -> Result<(), HostError> {
        let cpus = self.cpus.read();
        let made = cpus.iter().try_for_each(|cpu| self.create_secure_cpu(cpu));
        drop(cpus);
        if made.is_err() {
            let _ = self.destroy_secure_cpus();
        }
        made
    }

    /// SIDA and CPU storage, CREATE_SEC_CPU, then handles and format into the state description.
    fn create_secure_cpu(&self, cpu: &Cpu) -> Result<(), HostError> {
        let _vcpu = cpu.mutex.lock();
        let conf_handle = self.handle()?;
        let len = self.host.info().cpu_stor_len.get();
        let order = len.max(0x1000).checked_next_power_of_two().ok_or(HostError::NoStorage(len))?;
        let sida = self.host.allocate_zeroed(0x1000, 0x1000)?;
        let storage = match self.host.allocate(order, order) {
            Ok(storage) => storage,
            Err(error) => {
                self.host.pages.free(sida);
                return Err(error);
            }
        };
        let hardware = &self.host.hardware;
        let state_origin = cpu.block.origin();
        let mut block = CreateCpu::new(conf_handle, cpu.number, storage.origin().0, state_origin.0);
        let designation = SidaDesignation(sida.origin().0);
        let created = hardware
            .update_state(state_origin, |state| state.sidad = designation.0.into())
            .and_then(|()| Ok(self.host.call(&mut block)?));
        if let Err(error) = created {
            // A call that was never done may have taken the storage.
            if !error.is_unfinished() {
                self.host.pages.free(storage);
                self.host.pages.free(sida);
            }
            hardware.update_state(state_origin, |state| state.sidad = fields::GBEA_RESET.into())?;
            return Err(error);
        }
        let handle = block.cpu_handle.get();
        *cpu.secure.lock() = Some(SecureCpu { handle, storage, sida });
        hardware.update_state(state_origin, |state| {
            state.cpu_handle = handle.into();
            state.conf_handle = conf_handle.into();
            state.sdf = fields::SDF_PROTECTED;
        })
    }

    /// DESTROY_SEC_CPU for all. Goes on after a failure (that CPU's storage is lost) and reports the first one.
    pub(super) fn destroy_secure_cpus(&self) -> Result<(), HostError> {
        let mut result = Ok(());
        for cpu in self.cpus.read().iter() {
            result = result.and(self.destroy_secure_cpu(cpu));
        }
        result
    }

    fn destroy_secure_cpu(&self, cpu: &Cpu) -> Result<(), HostError> {
        let _vcpu = cpu.mutex.lock();
        let Some(secure) = cpu.secure.lock().take() else { return Ok(()) };
        let result = self.host.call(&mut NoData::new(UvCommand::DESTROY_SEC_CPU, secure.handle));
        match &result {
            Ok(()) => self.host.pages.free(secure.storage),
            Err(error) => tracing::error!(cpu = cpu.number, %error, "CPU not destroyed, its storage is lost"),
        }
        self.host.pages.free(secure.sida);
        cpu.local.lock().unprotected();
        self.host.hardware.update_state(cpu.block.origin(), |state| {
            state.cpu_handle = 0.into();
            state.conf_handle = 0.into();
            state.sdf = fields::SDF_NORMAL;
            state.iictl = 0;
            state.sidad = fields::GBEA_RESET.into();
        })?;
        Ok(result?)
    }

    /// CPU_SET_STATE on a secure CPU.
    ///
    /// # Errors
    /// [`HostError::Cpu`], [`HostError::NotProtected`], [`HostError::Call`], [`HostError::Access`].
    pub fn set_cpu_state(&self, number: u16, state: CpuState) -> Result<(), HostError> {
        let cpu = self.cpu(number)?;
        let handle = secure_handle(&cpu)?;
        self.host.call(&mut SetCpuState::new(handle, state))?;
        if matches!(state, CpuState::OPERATING | CpuState::OPERATING_LOAD) {
            self.started(&cpu)?;
        }
        Ok(())
    }
}

impl Vm {
    /// Does something with a CPU that nobody runs, changes or converts meanwhile: waits for whoever does. A CPU that does not
    /// exist is nobody's.
    pub(crate) fn with_cpu<T>(&self, number: u16, act: impl FnOnce() -> T) -> T {
        match self.cpu(number) {
            Ok(cpu) => {
                let _vcpu = cpu.mutex.lock();
                act()
            }
            Err(_) => act(),
        }
    }
}

impl Vm {
    /// Whether the CPU has a secure one. A CPU that does not exist has none.
    #[must_use]
    pub fn is_cpu_protected(&self, number: u16) -> bool {
        self.cpu(number).is_ok_and(|cpu| cpu.is_protected())
    }
}

impl Cpu {
    /// Whether there is a secure CPU.
    pub(super) fn is_protected(&self) -> bool {
        self.secure.lock().is_some()
    }
}

/// Handle of the secure CPU.
pub(super) fn secure_handle(cpu: &Cpu) -> Result<u64, HostError> {
    cpu.secure.lock().as_ref().map(|secure| secure.handle).ok_or(HostError::NotProtected)
}
