//! What happens to a secure VM beside hypercalls (power-pef §6.3).
//!
//! | event | action |
//! |---|---|
//! | the host touches a secure page | `UV_PAGE_OUT` into the normal page; refused: `SIGBUS` |
//! | the guest touches a shared page that was invalidated (reflected 0xe00) | `UV_PAGE_IN` |
//! | the host takes a normal page away | `UV_PAGE_INVAL`, result ignored |
//! | a memory slot comes | `UV_REGISTER_MEM_SLOT`, pages moved as by `H_SVM_INIT_DONE`; refusals are ignored |
//! | a memory slot goes | `UV_UNREGISTER_MEM_SLOT` |

use uv_core::{ArgumentError, Gfn, MemSlot, PageRange, SlotError, SlotId};

use super::hcall::{drop_slot, move_rest, register, share, take_out};
use super::{GfnState, KvmError, SecureGuest, Vm};
use crate::abi::ultracall::page_inval;

impl Vm {
    /// The host (QEMU, vhost, the kernel) touches a guest page: a secure one is taken out first, so that the host finds
    /// ciphertext.
    ///
    /// # Errors
    /// [`KvmError::Argument`] for a page in no slot; [`KvmError::SigBus`] when the ultravisor does not give the page.
    pub fn host_touches(&self, gfn: Gfn) -> Result<(), KvmError> {
        self.host_page(gfn).ok_or(ArgumentError::NoSlot(gfn))?;
        take_out(self, gfn).map_err(|_| KvmError::SigBus(gfn))
    }

    /// The guest faulted on a page (reflected 0xe00). A page that is resident needs nothing.
    ///
    /// # Errors
    /// [`KvmError::Fault`] (`-EFAULT`) when there is no such memory or the ultravisor refuses the page.
    pub fn guest_faults(&self, gfn: Gfn) -> Result<(), KvmError> {
        match self.gfn_state(gfn) {
            GfnState::Uvmem(_) => Ok(()),
            _ => share_again(self, gfn).map_err(|_| KvmError::Fault(gfn)),
        }
    }

    /// The host takes the normal page behind a guest page away (an MMU notifier). In a secure VM the ultravisor is told;
    /// what it answers does not matter to the host.
    pub fn host_unmaps(&self, gfn: Gfn) {
        if !self.secure_guest().contains(SecureGuest::INIT_DONE) {
            return;
        }
        let _guard = self.uvmem.lock();
        let taken = page_inval(&*self.host.uv, self.lpid, Self::PAGE_SIZE.addr(gfn));
        if taken.is_ok() && self.gfns.get(gfn) == GfnState::Shared {
            self.gfns.set(gfn, GfnState::Invalidated);
        }
    }

    /// User space adds a memory slot. In a secure VM the ultravisor is asked; the slot comes all the same when it refuses,
    /// and its pages then cannot be reached by the guest.
    ///
    /// # Errors
    /// [`SlotError`]; nothing was done.
    pub fn add_memslot(&self, id: SlotId, slot: MemSlot) -> Result<(), SlotError> {
        self.slots.write().insert(id, slot)?;
        self.host.entry.set_partition_memory(self.lpid, Some(&self.slots()));
        if !self.secure_guest().is_empty() && register(self, id, slot).is_ok() {
            move_rest(self, PageRange::new(slot.first, slot.pages));
        }
        Ok(())
    }

    /// User space takes a memory slot away. An unknown slot is no error.
    pub fn delete_memslot(&self, id: SlotId) {
        if self.slots.write().remove(id).is_none() {
            return;
        }
        self.host.entry.set_partition_memory(self.lpid, Some(&self.slots()));
        if !self.secure_guest().is_empty() {
            drop_slot(self, id);
        }
    }
}

/// Gives a normal page to a page that is shared.
///
/// # Errors
/// As [`share`].
fn share_again(vm: &Vm, gfn: Gfn) -> Result<(), KvmError> {
    match vm.gfn_state(gfn) {
        GfnState::Shared | GfnState::Invalidated => share(vm, gfn),
        state => Err(KvmError::Page(gfn, state)),
    }
}
