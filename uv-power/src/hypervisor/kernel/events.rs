//! What happens to a secure VM beside hypercalls (power-pef §6.3).
//!
//! | event | action |
//! |---|---|
//! | the host touches a secure page | `UV_PAGE_OUT` into the normal page; refused: `SIGBUS` |
//! | the guest faults (reflected 0xe00, 0xe20) | the host's page is taken, so a secure one comes out first; then `UV_PAGE_IN`, and the word stays |
//! | the host takes a normal page away | `UV_PAGE_INVAL`, result ignored |
//! | a memory slot comes | `UV_REGISTER_MEM_SLOT`, pages moved as by `H_SVM_INIT_DONE`; refusals are ignored |
//! | a memory slot goes | `UV_UNREGISTER_MEM_SLOT` |

use super::hcall::{drop_pages, drop_slot, move_rest, register, take_out};
use super::{GfnState, KvmError, SecureGuest, Vm};
use crate::abi::ultracall::{page_in, page_inval};
use uv_core::{ArgumentError, Gfn, MemSlot, PageRange, SlotError, SlotId};

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

    /// The guest faulted on a page (reflected 0xe00, 0xe20): the ultravisor gets the host's page. KVM's word for the page stays
    /// as it is, for a page that was out too; a shared page that was taken away is there again.
    ///
    /// # Errors
    /// [`KvmError::Fault`] (`-EFAULT`) when there is no such memory, or the ultravisor refuses a page.
    pub fn guest_faults(&self, gfn: Gfn) -> Result<(), KvmError> {
        let fault = KvmError::Fault(gfn);
        self.host_touches(gfn).map_err(|_| fault)?;
        let _guard = self.uvmem.lock();
        let host = self.host_page(gfn).ok_or(fault)?;
        match self.gfns.get(gfn) {
            // It moved in meanwhile.
            GfnState::Uvmem(_) => return Ok(()),
            state => {
                page_in(&*self.host.uv, self.lpid, host, Self::PAGE_SIZE.addr(gfn), 0).map_err(|_| fault)?;
                if state == GfnState::Invalidated {
                    self.gfns.set(gfn, GfnState::Shared);
                }
            }
        }
        Ok(())
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

    /// User space adds a memory slot. In a secure VM the ultravisor is asked; the slot comes even when it refuses,
    /// and its pages then cannot be reached by the guest.
    ///
    /// # Errors
    /// [`SlotError`]; nothing was done.
    pub fn add_memslot(&self, id: SlotId, slot: MemSlot) -> Result<(), SlotError> {
        self.slots.write().insert(id, slot)?;
        self.publish_memory();
        if !self.secure_guest().is_empty() && register(self, id, slot).is_ok() {
            move_rest(self, PageRange::new(slot.first, slot.pages));
        }
        Ok(())
    }

    /// User space takes a memory slot away. An unknown slot is no error.
    pub fn delete_memslot(&self, id: SlotId) {
        let Some(slot) = self.slots.write().remove(id) else { return };
        if self.secure_guest().is_empty() {
            drop_pages(self, PageRange::new(slot.first, slot.pages), false);
            self.gfns.remove(id);
        } else {
            drop_slot(self, id);
        }
        PageRange::new(slot.first, slot.pages).iter().for_each(|gfn| self.release_page(gfn));
        self.publish_memory();
    }
}
