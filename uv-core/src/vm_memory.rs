//! Normal memory of rust-vmm's crate `vm-memory`.

use vm_memory::{Bytes as _, GuestAddress, GuestAddressSpace, GuestMemory, Permissions};

use crate::{AccessError, HostAddr, NormalMemory};

/// The memory of a VMM that keeps it as `vm-memory` does: `Arc<GuestMemoryMmap>`, `GuestMemoryAtomic` whose regions come
/// and go, or any other [`GuestAddressSpace`].
///
/// Addresses are its [`GuestAddress`]es. What lies in no region is [`AccessError::Unmapped`]. An access is as torn as one of
/// the VMM itself: bytes that a device or another process writes at the same time may be old or new, each for itself.
#[derive(Clone, Debug)]
pub struct VmMemory<S>(pub S);

impl<S: GuestAddressSpace + Send + Sync> NormalMemory for VmMemory<S> {
    fn read(&self, at: HostAddr, into: &mut [u8]) -> Result<(), AccessError> {
        let memory = self.0.memory();
        reachable(&*memory, at, into.len(), Permissions::Read)?;
        memory.read_slice(into, GuestAddress(at.0)).map_err(|_| unmapped(at, into.len()))
    }

    fn write(&self, at: HostAddr, from: &[u8]) -> Result<(), AccessError> {
        let memory = self.0.memory();
        // `write_slice` stores what fits before it fails.
        reachable(&*memory, at, from.len(), Permissions::Write)?;
        memory.write_slice(from, GuestAddress(at.0)).map_err(|_| unmapped(at, from.len()))
    }

    fn check(&self, at: HostAddr, len: u64) -> Result<(), AccessError> {
        let len = usize::try_from(len).map_err(|_| unmapped(at, usize::MAX))?;
        reachable(&*self.0.memory(), at, len, Permissions::ReadWrite)
    }
}

fn reachable(memory: &impl GuestMemory, at: HostAddr, len: usize, access: Permissions) -> Result<(), AccessError> {
    let reachable = len == 0 || memory.check_range(GuestAddress(at.0), len, access);
    if reachable { Ok(()) } else { Err(unmapped(at, len)) }
}

fn unmapped(at: HostAddr, len: usize) -> AccessError {
    AccessError::Unmapped { at, len }
}
