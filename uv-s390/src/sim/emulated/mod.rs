//! A guest whose CPUs somebody else emulates, with its storage in the caller's memory.
//!
//! Who uses it: an emulator of a whole guest.
//!
//! An emulator of a whole guest (QEMU without KVM) has no host below the guest: no hypervisor's tables, no imports and
//! exports, and the guest's instructions reach its storage where it lies. [`EmulatedGuest`] is what the guest sees of
//! machine, Ultravisor and VMM then.
//!
//! | file | job |
//! |---|---|
//! | `start` | DIAG 308 subcode 10: header, unpack, verify in place |
//! | `end` | resets and the end of protection |
//! | `first` | a guest that is protected from its first instruction on |
//!
//! # What is not as on a machine
//! A protected guest's private pages lie in the caller's memory in clear: nothing is kept from the emulator, which sees the guest's
//! registers as well. What a device may reach is said by [`EmulatedGuest::closed_frames`]: while the guest is protected
//! these are all pages but the shared ones.

mod end;
mod first;
mod start;
#[cfg(test)]
mod tests;

use alloc::sync::Arc;

use spin::Mutex;
use uv_core::{Gfn, GuestAddr, HostAddr, MemSlot, MemSlots, NormalMemory, PageSize, SlotId};

use super::closed::ClosedFrames;
use super::conf::Conf;
use super::execute::Uvc;
use super::guest_call::GuestAnswer;
use super::machine::{Machine, MachineConfig};
use crate::abi::diag308::Diag308;
use crate::abi::uvc::{Cc, PgmCode, ProgramInterruption};
use crate::hypervisor::GuestStorage;
use crate::hypervisor::vmm::diag308::{self, IplStores, Operand, Outcome};
use crate::owner::request::ConfigUid;

/// A guest whose CPUs the caller emulates. All methods may be called from many threads, one for each of the guest's CPUs.
///
/// The guest's life: ordinary, until [`EmulatedGuest::diag308`] asks for protection and [`EmulatedGuest::reset`] gives it;
/// protected, until a re-IPL. Or protected from its first instruction on ([`EmulatedGuest::protected`]).
#[derive(Debug)]
pub struct EmulatedGuest {
    machine: Machine,
    slots: Arc<MemSlots>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    stores: IplStores,
    /// The configuration of the protected guest; `None` while it is ordinary.
    conf: Option<Arc<Conf>>,
}

impl EmulatedGuest {
    /// An ordinary guest. Its storage is the first [`MachineConfig::memory`] bytes of `memory`, in whole pages: a guest absolute address is an
    /// address there.
    #[must_use]
    pub fn new(config: MachineConfig, memory: Arc<dyn NormalMemory>) -> Self {
        let size = PageSize::K4;
        let mut slots = MemSlots::new(size);
        let slot = MemSlot { first: Gfn(0), pages: config.memory >> size.shift(), host: HostAddr(0) };
        // One slot in an empty table does not overlap; a guest without a page has no storage.
        let _ = slots.insert(SlotId(0), slot);
        let state = Mutex::new(State { stores: IplStores::new(), conf: None });
        Self { machine: Machine::with_memory(config, memory), slots: Arc::new(slots), state }
    }

    /// Whether the guest is protected.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        self.state.lock().conf.is_some()
    }

    /// Chooses the unique id of the guest when it next becomes protected, as [`Machine::set_next_config_uid`] does.
    pub fn set_next_config_uid(&self, uid: ConfigUid) {
        self.machine.set_next_config_uid(uid);
    }

    /// The bytes of the SE header that the guest was started with: what its owner's requests are made for. `None` for an
    /// ordinary guest.
    #[must_use]
    pub fn se_header(&self) -> Option<alloc::vec::Vec<u8>> {
        let conf = self.state.lock().conf.clone()?;
        let image = conf.image.read();
        image.as_ref().map(|image| image.header.as_bytes().to_vec())
    }

    /// Which pages nobody but the guest may reach. A device of the emulator looks here before it moves data.
    #[must_use]
    pub fn closed_frames(&self) -> Arc<ClosedFrames> {
        self.machine.closed_frames()
    }

    /// A UVC of the guest, on a control block at a guest absolute address. The answer is stored there.
    ///
    /// # Errors
    /// The program interruption that the guest gets: operation (0x01) while it is ordinary, for there is no Ultravisor to
    /// call then; else privileged operation, specification, addressing, page translation.
    pub fn uv_call(&self, instruction: Uvc, address: GuestAddr) -> Result<Cc, ProgramInterruption> {
        let conf = self.state.lock().conf.clone();
        let conf = conf.ok_or(ProgramInterruption::new(PgmCode::OPERATION))?;
        match self.machine.guest_execute_at(&conf, instruction, address) {
            GuestAnswer::Done(cc) => Ok(cc),
            // There is no host that could act.
            GuestAnswer::Exception(interruption) | GuestAnswer::Host(interruption) => Err(interruption),
            GuestAnswer::Intercept => Ok(Cc::Busy),
        }
    }

    /// A DIAG 308 of the guest: the checks and stores of [`diag308::handle`]. What it decides is the caller's to do: to inject the
    /// interruption, to load GR r1+1, or to stop all CPUs and call [`EmulatedGuest::reset`].
    pub fn diag308(&self, call: Diag308) -> Outcome {
        let mut state = self.state.lock();
        // A protected guest has no subcodes 8 to 10.
        let machine =
            diag308::MachineModel { unpack_facility: state.conf.is_none(), ..diag308::MachineModel::default() };
        diag308::handle(&mut state.stores, &machine, call, Operand::Guest(self.storage()))
    }

    fn storage(&self) -> GuestStorage<'_> {
        GuestStorage { slots: Arc::clone(&self.slots), memory: &self.machine.storage.bytes }
    }
}
