//! Pages that the host holds on to: areas of virtual CPUs, pages for devices.
//!
//! A pinned page cannot move into secure memory: `H_SVM_PAGE_IN` of it is `H_PARAMETER`, `H_SVM_INIT_DONE` is `H_STATE`. That is
//! why `KVM_PPC_SVM_OFF` forgets the areas (power-pef §6.4 step 5): the next transition could not move their pages.

use alloc::collections::BTreeMap;

use uv_core::{ArgumentError, Gfn};

use super::hcall::leave_secure_memory;
use super::{GfnState, KvmError, Vm};

/// How often each page is pinned.
pub(super) type Pins = BTreeMap<Gfn, u32>;

impl Vm {
    /// Pins a page once more; a secure one comes out first. The page may be shared.
    ///
    /// # Errors
    /// [`KvmError::Argument`] for a page in no slot; [`KvmError::SigBus`] when the ultravisor does not give the page.
    pub fn pin(&self, gfn: Gfn) -> Result<(), KvmError> {
        let _guard = self.uvmem.lock();
        self.host_page(gfn).ok_or(ArgumentError::NoSlot(gfn))?;
        if let GfnState::Uvmem(device) = self.gfns.get(gfn) {
            leave_secure_memory(self, gfn, device, true).map_err(|_| KvmError::SigBus(gfn))?;
        }
        *self.pins.lock().entry(gfn).or_default() += 1;
        Ok(())
    }

    /// Takes one pin of a page back. A page that is not pinned stays so.
    pub fn unpin(&self, gfn: Gfn) {
        let mut pins = self.pins.lock();
        if let Some(times) = pins.get_mut(&gfn) {
            *times -= 1;
            if *times == 0 {
                pins.remove(&gfn);
            }
        }
    }

    pub(super) fn is_pinned(&self, gfn: Gfn) -> bool {
        self.pins.lock().contains_key(&gfn)
    }
}
