//! `KVM_S390_GET_IRQ_STATE`, `KVM_S390_SET_IRQ_STATE`: all that is pending for a vCPU.

use alloc::vec::Vec;
use core::mem::size_of;

use zerocopy::{FromBytes, IntoBytes};

use super::super::IrqBlock;
use super::super::structs::IrqState;
use super::copy::from_user;
use super::interrupt::{errno, irq};
use crate::abi::Errno;
use crate::hypervisor::kernel::Irq;
use crate::hypervisor::kernel::Vm;
use crate::hypervisor::uapi::Argument;

/// Bytes of one interruption.
const ENTRY: usize = size_of::<IrqBlock>();
/// Most of them: one for each of 255 CPUs that may send an emergency signal, and 32 others.
const MAX: usize = 255 + 32;

/// The value is the number of bytes stored.
///
/// EINVAL for a length of 0; ENOBUFS when not all fit; EFAULT.
pub(super) fn get(guest: &Vm, cpu: u16, argument: &mut Argument<'_>) -> Result<u64, Errno> {
    let len = len(argument)?;
    if len == 0 {
        return Err(Errno::EINVAL);
    }
    let mut stored = 0;
    for irq in guest.pending_interruptions(cpu).map_err(errno)? {
        let end = stored + ENTRY;
        if end > len {
            return Err(Errno::ENOBUFS);
        }
        let place = argument.data.get_mut(stored..end).ok_or(Errno::EFAULT)?;
        place.copy_from_slice(IrqBlock::of(&irq).as_bytes());
        stored = end;
    }
    u64::try_from(stored).map_err(|_| Errno::EFAULT)
}

/// EINVAL for a length that is 0, no multiple of 72 or above 287 interruptions; EFAULT; EBUSY when something is pending; then
/// as `KVM_S390_IRQ` for each, where those before the one that is refused stay.
pub(super) fn set(guest: &Vm, cpu: u16, argument: &Argument<'_>) -> Result<u64, Errno> {
    let len = len(argument)?;
    if len == 0 || len % ENTRY != 0 || len > MAX * ENTRY {
        return Err(Errno::EINVAL);
    }
    let bytes = argument.data.get(..len).ok_or(Errno::EFAULT)?;
    let blocks = bytes.chunks_exact(ENTRY).map(|bytes| IrqBlock::read_from_bytes(bytes).map_err(|_| Errno::EFAULT));
    let mut irqs: Vec<Irq> = Vec::new();
    let mut refused = Ok(0);
    for block in blocks {
        match irq(&block?) {
            Ok(irq) => irqs.push(irq),
            Err(error) => {
                refused = Err(error);
                break;
            }
        }
    }
    guest.set_pending_interruptions(cpu, &irqs).map_err(errno)?;
    refused
}

fn len(argument: &Argument<'_>) -> Result<usize, Errno> {
    let state: IrqState = from_user(argument.block)?;
    usize::try_from(state.len.get()).map_err(|_| Errno::EINVAL)
}
