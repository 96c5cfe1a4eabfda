//! Out of protection.

use super::Devices;
use crate::hypervisor::uapi::client::{self, PvError};
use crate::hypervisor::uapi::{KvmPv, capability};

/// How protection was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unprotected {
    /// Everything is gone.
    Now,
    /// The VM is ordinary, and its old configuration waits for KVM_PV_ASYNC_CLEANUP_PERFORM
    /// ([`client::cleanup_perform`]), which a VMM runs on a thread of its own.
    SetAside,
}

/// Ends protection and allows migration and discarding again.
///
/// `set_aside` asks for the asynchronous way. It is taken when the kernel has the capability and accepts; the kernel refuses
/// for guests of at most 2 GiB and while another configuration waits.
///
/// # Errors
/// The refusal of KVM_PV_DISABLE. A VMM ends itself then: the guest's memory cannot be used any more.
pub fn unprotect(devices: &mut dyn Devices, kvm: &dyn KvmPv, set_aside: bool) -> Result<Unprotected, PvError> {
    let can = set_aside && client::has_capability(kvm, capability::PROTECTED_ASYNC_DISABLE).unwrap_or(false);
    let done = if can && client::cleanup_prepare(kvm).is_ok() {
        Unprotected::SetAside
    } else {
        client::disable(kvm)?;
        Unprotected::Now
    };
    devices.set_protected(false);
    let _ = devices.forbid_migration(false);
    let _ = devices.forbid_discard(false);
    Ok(done)
}
