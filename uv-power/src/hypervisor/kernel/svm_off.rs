//! `KVM_PPC_SVM_OFF`: the VM becomes normal again, at reboot and at its end (power-pef §6.4).
//!
//! | # | step | result |
//! |---|---|---|
//! | 1 | `INIT_START` not set | done, no ultracall |
//! | 2 | a virtual CPU is running | `-EBUSY` |
//! | 3 | each slot: device pages dropped without page-out, `UV_UNREGISTER_MEM_SLOT` | |
//! | 4 | `UV_SVM_TERMINATE` refused | `-EINVAL` |
//! | 5 | the areas that virtual CPUs registered are forgotten | |
//! | 6 | partition table entry written again | |
//! | 7 | `secure_guest` = 0 | 0 |

use super::hcall::drop_slot;
use super::{GfnState, KvmError, SecureGuest, Vm};
use crate::abi::ultracall::{svm_terminate, write_pate};
use uv_core::PageRange;

/// Host radix bit of the first doubleword, guest radix bit of the second (power-pef §10.1).
const RADIX: u64 = 1 << 63;

impl Vm {
    /// Takes the VM out of secure mode.
    ///
    /// # Errors
    /// [`KvmError::Running`] (`-EBUSY`), nothing was done; [`KvmError::NotEnded`] (`-EINVAL`), slots are gone and the call can be
    /// made again.
    pub fn svm_off(&self) -> Result<(), KvmError> {
        if !self.secure_guest().contains(SecureGuest::INIT_START) {
            return Ok(());
        }
        if self.is_running() {
            return Err(KvmError::Running);
        }
        for (id, _) in self.slots().iter() {
            drop_slot(self, id);
        }
        svm_terminate(&*self.host.uv, self.lpid).map_err(KvmError::NotEnded)?;
        self.forget_areas();
        self.write_partition_entry();
        self.set_secure_guest(SecureGuest::empty());
        self.publish_memory();
        tracing::info!(lpid = self.lpid.0, "the VM is normal again");
        Ok(())
    }

    /// Writes the entry of a VM whose page tables belong to the host. The tables themselves are not modelled: the entry
    /// says radix or hash, and nothing else reads it. The result is ignored, as the kernel does.
    pub(super) fn write_partition_entry(&self) {
        let radix = if self.radix { RADIX } else { 0 };
        let _ = write_pate(&*self.host.uv, self.lpid, radix, radix);
    }
}

impl Drop for Vm {
    /// The end of a VM: the ultravisor forgets a secure one; the partition entry of every one becomes (0, 0).
    fn drop(&mut self) {
        let slots = self.slots();
        for gfn in slots.iter().flat_map(|(_, slot)| PageRange::new(slot.first, slot.pages).iter()) {
            if let (GfnState::Uvmem(device), Some(pool)) = (self.gfns.get(gfn), &self.host.pool) {
                pool.give_back(device);
            }
        }
        if !self.secure_guest().is_empty() {
            let _ = svm_terminate(&*self.host.uv, self.lpid);
        }
        let _ = write_pate(&*self.host.uv, self.lpid, 0, 0);
        self.host.entry.set_partition_memory(self.lpid, None);
        let moved = core::mem::take(&mut *self.moved.lock());
        moved.into_values().for_each(|page| self.give_page_back(page));
    }
}
