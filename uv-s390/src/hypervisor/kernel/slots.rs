//! Memory slots of an ordinary VM come and go.

use uv_core::{MemSlot, SlotError, SlotId};

use super::gmap::PageFlags;
use super::{HostError, Vm};

impl Vm {
    /// Adds a memory slot. The VM must be ordinary: the size of a configuration is fixed when it is made.
    ///
    /// # Errors
    /// [`HostError::Protected`]; [`HostError::Slot`] for one that overlaps another, has the number of another, or passes
    /// [`Vm::limit`].
    pub fn add_slot(&self, id: SlotId, slot: MemSlot) -> Result<(), HostError> {
        let _lock = self.lock.lock();
        self.add_locked(id, slot)
    }

    fn add_locked(&self, id: SlotId, slot: MemSlot) -> Result<(), HostError> {
        if self.is_protected() {
            return Err(HostError::Protected);
        }
        let end = slot.first.0.checked_add(slot.pages).and_then(|end| end.checked_mul(0x1000));
        if end.is_none_or(|end| end > self.limit()) {
            return Err(SlotError::Wraps.into());
        }
        self.gmap.add_slot(id, slot)
    }

    /// Takes a memory slot out and gives what it was. What a configuration set aside has left in it is destroyed first, for
    /// nothing will find it afterwards.
    ///
    /// # Errors
    /// [`HostError::Protected`]; [`HostError::NoSuchSlot`]; [`HostError::Call`] when a page is not given back: the slot stays.
    pub fn remove_slot(&self, id: SlotId) -> Result<MemSlot, HostError> {
        let _lock = self.lock.lock();
        self.remove_locked(id)
    }

    /// Puts a memory slot to another guest address, as one step: no protection begins in between.
    ///
    /// # Errors
    /// Those of [`Vm::remove_slot`] and [`Vm::add_slot`]; after the latter the slot is where it was, with nothing mapped.
    pub fn move_slot(&self, id: SlotId, slot: MemSlot) -> Result<(), HostError> {
        let _lock = self.lock.lock();
        let old = self.remove_locked(id)?;
        self.add_locked(id, slot).inspect_err(|_| {
            let _ = self.gmap.add_slot(id, old);
        })
    }

    fn remove_locked(&self, id: SlotId) -> Result<MemSlot, HostError> {
        if self.is_protected() {
            return Err(HostError::Protected);
        }
        let known = self.slots().iter().find(|(known, _)| *known == id);
        let (_, slot) = known.ok_or(HostError::NoSuchSlot(id))?;
        for gfn in (0..slot.pages).map(|page| slot.first.add(page)) {
            if !self.gmap.flags(gfn).difference(PageFlags::MAPPED).is_empty() {
                self.destroy_or_export(gfn)?;
            }
        }
        self.gmap.remove_slot(id).ok_or(HostError::NoSuchSlot(id))
    }
}
