//! What user space sets of a VM beside memory, CPUs and options: CPU model, clock, cryptography, adapters, notifications.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::interrupt::floating_list;
use super::{CpuModel, HostError, Irq, Vm};

/// An adapter: a source of I/O interruptions without a subchannel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adapter {
    /// Interruption subclass, 0 to 7.
    pub subclass: u8,
    /// Whether user space may mask it.
    pub maskable: bool,
    /// Whether it is masked.
    pub masked: bool,
}

/// Where a notification of a virtio device is to be heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Notification {
    /// Subchannel identification and number.
    pub subchannel: u32,
    /// The queue; all of them for `None`.
    pub queue: Option<u64>,
}

/// How keys of guests can be wrapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyWrapping {
    /// With AES.
    pub aes: bool,
    /// With DEA.
    pub dea: bool,
}

#[derive(Debug)]
pub(super) struct Settings {
    model: Box<CpuModel>,
    wrapping: KeyWrapping,
    /// Guest clock less host clock, with the epoch index in front.
    epoch: u128,
    flic: bool,
    adapters: BTreeMap<u32, Adapter>,
    notifications: BTreeSet<Notification>,
}

impl Settings {
    /// A VM has the CPU of its machine at first.
    pub(super) fn new(model: CpuModel) -> Self {
        Self {
            model: Box::new(model),
            wrapping: KeyWrapping::default(),
            epoch: 0,
            flic: false,
            adapters: BTreeMap::new(),
            notifications: BTreeSet::new(),
        }
    }
}

impl Vm {
    /// The CPU model of the VM.
    #[must_use]
    pub fn cpu_model(&self) -> CpuModel {
        (*self.settings.lock().model).clone()
    }

    /// Changes the CPU model, before there is a vCPU.
    ///
    /// # Errors
    /// [`HostError::Busy`] when there are vCPUs.
    pub fn change_cpu_model(&self, change: impl FnOnce(&mut CpuModel)) -> Result<(), HostError> {
        let _lock = self.lock.lock();
        if self.cpu_count() > 0 {
            return Err(HostError::Busy);
        }
        change(&mut self.settings.lock().model);
        Ok(())
    }

    /// How keys can be wrapped.
    #[must_use]
    pub fn key_wrapping(&self) -> KeyWrapping {
        self.settings.lock().wrapping
    }

    /// Says how keys can be wrapped.
    pub fn set_key_wrapping(&self, wrapping: KeyWrapping) {
        self.settings.lock().wrapping = wrapping;
    }

    /// The guest's clock: epoch index and TOD.
    #[must_use]
    pub fn tod(&self) -> (u8, u64) {
        let now = u128::from((self.host.hardware.clock)()).wrapping_add(self.settings.lock().epoch);
        let [.., index, a, b, c, d, e, f, g, h] = now.to_be_bytes();
        (index, u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }

    /// Sets the guest's clock.
    ///
    /// # Errors
    /// [`HostError::Protected`]: the clock of a protected guest is the Ultravisor's.
    pub fn set_tod(&self, index: u8, tod: u64) -> Result<(), HostError> {
        let _lock = self.lock.lock();
        if self.is_protected() {
            return Err(HostError::Protected);
        }
        let wanted = u128::from(index) << 64 | u128::from(tod);
        self.settings.lock().epoch = wanted.wrapping_sub((self.host.hardware.clock)().into());
        Ok(())
    }

    /// Makes the floating interruption controller; `false` when there is one.
    pub fn create_flic(&self) -> bool {
        !core::mem::replace(&mut self.settings.lock().flic, true)
    }

    /// Whether there is one.
    #[must_use]
    pub fn has_flic(&self) -> bool {
        self.settings.lock().flic
    }

    /// Makes an adapter known; `false` when the number is taken.
    pub fn register_adapter(&self, id: u32, adapter: Adapter) -> bool {
        let adapters = &mut self.settings.lock().adapters;
        !adapters.contains_key(&id) && adapters.insert(id, adapter).is_none()
    }

    /// An adapter.
    #[must_use]
    pub fn adapter(&self, id: u32) -> Option<Adapter> {
        self.settings.lock().adapters.get(&id).copied()
    }

    /// Masks an adapter, or takes that back.
    pub fn mask_adapter(&self, id: u32, masked: bool) {
        if let Some(adapter) = self.settings.lock().adapters.get_mut(&id) {
            adapter.masked = masked;
        }
    }

    /// Asks for a notification; `false` when that was asked for already.
    pub fn add_notification(&self, notification: Notification) -> bool {
        self.settings.lock().notifications.insert(notification)
    }

    /// Takes that back; `false` when it was not asked for.
    pub fn remove_notification(&self, notification: Notification) -> bool {
        self.settings.lock().notifications.remove(&notification)
    }

    /// What is pending for any CPU, in the order of the interruption classes.
    #[must_use]
    pub fn floating_interruptions(&self) -> Vec<Irq> {
        floating_list(&self.floating.lock())
    }

    /// Takes the pending I/O interruptions of a subchannel (identification and number) away.
    pub fn clear_io(&self, subchannel: u32) {
        while self.take_io(u64::MAX, Some(subchannel)).is_some() {}
    }
}
