//! What the hypervisor's kernel runs on.

use super::{HostError, SystemInformation};
use crate::abi::sie::{AddressSpaces, Sie, StateDescription};
use crate::abi::uvc::UvCall;
use alloc::sync::Arc;
use core::fmt;
use uv_core::{HostAddr, NormalMemory};
use zerocopy::{FromBytes, IntoBytes};

/// What of a machine a hypervisor's kernel touches: the UV call, SIE, its page tables, its own memory, and what STSI says.
///
/// All accesses to memory go through [`Hardware::memory`] and meet the secure-storage access exception
/// ([`AccessError::Secure`](uv_core::AccessError::Secure)) where the machine would raise it. Nothing behind it gives secure plaintext.
#[derive(Clone)]
pub struct Hardware {
    /// The UV call, in host role.
    pub uvc: Arc<dyn UvCall>,
    /// Start interpretive execution.
    pub sie: Arc<dyn Sie>,
    /// The page tables of guests.
    pub spaces: Arc<dyn AddressSpaces>,
    /// Host absolute storage as the host reaches it.
    pub memory: Arc<dyn NormalMemory>,
    /// What the machine says of itself; guests are told.
    pub system: SystemInformation,
    /// The TOD clock.
    pub clock: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl fmt::Debug for Hardware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hardware(..)")
    }
}

impl Hardware {
    /// A machine that is the first three in one value, and its memory. Its clock stands at 0.
    pub fn new<T>(machine: &Arc<T>, memory: impl NormalMemory + 'static) -> Self
    where
        T: UvCall + Sie + AddressSpaces + 'static,
    {
        Self {
            uvc: machine.clone(),
            sie: machine.clone(),
            spaces: machine.clone(),
            memory: Arc::new(memory),
            system: SystemInformation::default(),
            clock: Arc::new(|| 0),
        }
    }

    /// Reads a state description.
    pub(super) fn read_state(&self, at: HostAddr) -> Result<StateDescription, HostError> {
        let mut bytes = [0; size_of::<StateDescription>()];
        self.memory.read(at, &mut bytes)?;
        Ok(StateDescription::read_from_bytes(&bytes).unwrap_or_else(|_| StateDescription::new()))
    }

    /// Reads a state description, changes it and writes it back.
    pub(super) fn update_state(
        &self,
        at: HostAddr,
        change: impl FnOnce(&mut StateDescription),
    ) -> Result<(), HostError> {
        let mut state = self.read_state(at)?;
        change(&mut state);
        Ok(self.memory.write(at, state.as_bytes())?)
    }
}
