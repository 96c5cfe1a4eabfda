//! The rest of the VMM.

/// A step that the VMM itself refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("refused by the machine model")]
pub struct Refused;

/// What the sequences want from the machine model around the CPUs. All methods do nothing by default, which is right for a
/// machine without devices.
pub trait Devices {
    /// Resets the channel subsystem and everything behind it, AP queues included, so that devices lose access to guest
    /// memory before it changes hands.
    fn reset_subsystems(&mut self) {}

    /// Resets the wrapping keys of the crypto facility.
    fn reset_crypto(&mut self) {}

    /// Forbids (or allows again) that guest memory is discarded behind the guest's back, as memory balloons do.
    ///
    /// # Errors
    /// [`Refused`] when something discards memory and cannot be stopped.
    fn forbid_discard(&mut self, forbid: bool) -> Result<(), Refused> {
        let _ = forbid;
        Ok(())
    }

    /// Forbids (or allows again) migration.
    ///
    /// # Errors
    /// [`Refused`] when migration must stay possible.
    fn forbid_migration(&mut self, forbid: bool) -> Result<(), Refused> {
        let _ = forbid;
        Ok(())
    }

    /// Says whether the machine is protected from now on.
    fn set_protected(&mut self, protected: bool) {
        let _ = protected;
    }
}

/// A machine without devices.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoDevices;

impl Devices for NoDevices {}
