//! User space's part (power-pef §6.5): the `pef-guest` object of QEMU, and what it loads before the guest runs.
//!
//! Who uses it: a VMM.
//!
//! | part | job | feature |
//! |---|---|---|
//! | [`PefGuest`] | enables the VM; its reset; why it cannot be migrated | - |
//! | [`boot`] | what lies where in guest memory before `UV_ESM` | `fdt` |

#[cfg(feature = "fdt")]
pub mod boot;

use alloc::sync::Arc;

use crate::hypervisor::kernel::{KvmError, Vm};

/// `-object pef-guest`: a VM whose guest may become secure.
///
/// While it exists the VM cannot be migrated: its secure pages are not tracked and cannot be read.
#[derive(Clone, Debug)]
pub struct PefGuest {
    vm: Arc<Vm>,
}

impl PefGuest {
    /// Checks that the kernel can run secure VMs and enables it for this one.
    ///
    /// # Errors
    /// [`KvmError::Unsupported`]: the VM is not started.
    pub fn new(vm: Arc<Vm>) -> Result<Self, KvmError> {
        vm.enable_secure_guest_capability()?;
        Ok(Self { vm })
    }

    /// Why the VM cannot be migrated.
    #[must_use]
    pub const fn migration_blocker(&self) -> &'static str {
        "PEF VM can't be migrated: its secure memory is not the hypervisor's to read"
    }

    /// Machine reset: the VM leaves secure mode before anything else is reset.
    ///
    /// A kernel without the call (`-ENOTTY`) never made the VM secure; that is no error. Every other failure ends the machine.
    ///
    /// # Errors
    /// Those of [`Vm::svm_off`].
    pub fn reset(&self) -> Result<(), KvmError> {
        self.vm.svm_off()
    }
}
