//! Which features of the Ultravisor a VM's protected life may use (KVM's CPU model).

use core::sync::atomic::Ordering;

use super::{Host, HostError, Vm};
use crate::abi::uvcb::{ConfFlags, Features};

/// Features that a protected guest can be given, each with the flag of CREATE_SEC_CONF that gives it.
const GIVEN: [(Features, ConfFlags); 2] =
    [(Features::AP, ConfFlags::AP), (Features::AP_INTERRUPTIONS, ConfFlags::AP_INTERRUPTIONS)];

impl Host {
    /// What the machine has of the features that protected guests can be given: AP instructions and AP interruptions.
    #[must_use]
    pub fn features_for_guests(&self) -> Features {
        let known = GIVEN.iter().fold(Features::empty(), |known, (feature, _)| known | *feature);
        self.features() & known
    }
}

impl Vm {
    /// The features that protected guests of this VM have; none until they are set.
    #[must_use]
    pub fn uv_features(&self) -> Features {
        Features::from_bits_retain(self.uv_features.load(Ordering::Relaxed))
    }

    /// Chooses the features that protected guests of this VM have.
    ///
    /// # Errors
    /// [`HostError::NotInstalled`] for one that the machine does not have or that is no feature of guests;
    /// [`HostError::Busy`] when there are vCPUs already.
    pub fn set_uv_features(&self, features: Features) -> Result<(), HostError> {
        let _lock = self.lock.lock();
        if !self.host.features_for_guests().contains(features) {
            return Err(HostError::NotInstalled);
        }
        if self.cpu_count() > 0 {
            return Err(HostError::Busy);
        }
        self.uv_features.store(features.bits(), Ordering::Relaxed);
        Ok(())
    }

    /// The flags of CREATE_SEC_CONF that give them.
    pub(super) fn conf_flags(&self) -> ConfFlags {
        let features = self.uv_features();
        let given = GIVEN.iter().filter(|(feature, _)| features.contains(*feature));
        given.fold(ConfFlags::empty(), |flags, (_, flag)| flags | *flag)
    }
}
