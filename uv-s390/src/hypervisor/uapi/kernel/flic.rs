//! The floating interruption controller: KVM_CREATE_DEVICE, and the three attribute ioctls on its file descriptor.
//!
//! | # | condition | result |
//! |---|---|---|
//! | 1 | create: another device | ENODEV |
//! | 2 | create: the VM has one | EINVAL |
//! | 3 | there is none | EINVAL |
//! | 4 | another group | EINVAL; ENXIO for KVM_HAS_DEVICE_ATTR |
//! | 5 | AISM, AISM_ALL: the machine cannot suppress adapter interruptions | EOPNOTSUPP |
//! | 6 | the value cannot be copied | EFAULT |
//! | 7 | ENQUEUE: bytes that are no whole interruptions; CLEAR_IO_IRQ: an attribute that is not 4 | EINVAL |
//! | 8 | adapters: a number that is too high or taken; MODIFY, INJECT: one that is not known | EINVAL |
//!
//! Of an adapter that is masked no interruption is injected. Asynchronous page faults can be switched on; nothing is ever faulted
//! in late here.

use core::mem::size_of;

use zerocopy::byteorder::big_endian::U32;

use super::super::flic::{IoAdapter, IoAdapterReq, flic_group};
use super::super::interrupt::IrqBlock;
use super::super::model::DeviceAttr;
use super::super::structs::CreateDevice;
use super::copy::{from_user, to_user};
use super::interrupt::{errno, floating_irq};
use crate::abi::Errno;
use crate::hypervisor::kernel::Vm;
use crate::hypervisor::kernel::{Adapter, IoIrq, Irq};
use crate::hypervisor::uapi::Argument;
use crate::hypervisor::uapi::request;

/// Request of MODIFY that masks.
const MASK: u8 = 1;

/// `KVM_CREATE_DEVICE`: where a file descriptor would be, 0.
pub(super) fn create(guest: &Vm, argument: &Argument<'_>) -> Result<u64, Errno> {
    let device: CreateDevice = from_user(argument.block)?;
    if device.kind.get() != CreateDevice::FLIC {
        return Err(Errno::ENODEV);
    }
    if device.flags.get() & CreateDevice::TEST != 0 || guest.create_flic() { Ok(0) } else { Err(Errno::EINVAL) }
}

pub(super) fn ioctl(guest: &Vm, number: u32, argument: &mut Argument<'_>) -> Result<u64, Errno> {
    if !guest.has_flic() {
        return Err(Errno::EINVAL);
    }
    let named: DeviceAttr = from_user(argument.block)?;
    let (group, attr) = (named.group.get(), named.attr.get());
    let done = match (number, group) {
        (request::HAS_DEVICE_ATTR, flic_group::GET_ALL_IRQS..=flic_group::AISM_ALL) => Ok(()),
        (request::HAS_DEVICE_ATTR, _) => Err(Errno::ENXIO),
        (request::GET_DEVICE_ATTR, flic_group::GET_ALL_IRQS) => return all(guest, argument.data),
        (request::SET_DEVICE_ATTR, flic_group::ENQUEUE) => enqueue(guest, attr, argument.data),
        (request::SET_DEVICE_ATTR, flic_group::CLEAR_IRQS) => {
            guest.clear_floating_interruptions();
            Ok(())
        }
        (request::SET_DEVICE_ATTR, flic_group::APF_ENABLE | flic_group::APF_DISABLE_WAIT) => Ok(()),
        (request::SET_DEVICE_ATTR, flic_group::ADAPTER_REGISTER) => register(guest, &from_user(argument.data)?),
        (request::SET_DEVICE_ATTR, flic_group::ADAPTER_MODIFY) => modify(guest, &from_user(argument.data)?),
        (request::SET_DEVICE_ATTR, flic_group::CLEAR_IO_IRQ) if attr == 4 => {
            guest.clear_io(from_user::<U32>(argument.data)?.get());
            Ok(())
        }
        (request::SET_DEVICE_ATTR, flic_group::AIRQ_INJECT) => inject(guest, attr),
        (request::SET_DEVICE_ATTR, flic_group::AISM) => Err(Errno::EOPNOTSUPP),
        (request::SET_DEVICE_ATTR | request::GET_DEVICE_ATTR, flic_group::AISM_ALL) => Err(Errno::EOPNOTSUPP),
        (request::SET_DEVICE_ATTR | request::GET_DEVICE_ATTR, _) => Err(Errno::EINVAL),
        _ => Err(Errno::ENOTTY),
    };
    done.map(|()| 0)
}

/// Stores what is pending; gives how many. ENOMEM when there is more than room.
fn all(guest: &Vm, data: &mut [u8]) -> Result<u64, Errno> {
    let pending = guest.floating_interruptions();
    for (index, irq) in pending.iter().enumerate() {
        let at = index * size_of::<IrqBlock>();
        let place = data.get_mut(at..at + size_of::<IrqBlock>()).ok_or(Errno::ENOMEM)?;
        to_user(place, &IrqBlock::of(irq))?;
    }
    u64::try_from(pending.len()).map_err(|_| Errno::ENOMEM)
}

/// One after the other; the first that is refused ends it.
fn enqueue(guest: &Vm, bytes: u64, data: &[u8]) -> Result<(), Errno> {
    let bytes = usize::try_from(bytes).map_err(|_| Errno::EINVAL)?;
    if !bytes.is_multiple_of(size_of::<IrqBlock>()) {
        return Err(Errno::EINVAL);
    }
    let blocks = data.get(..bytes).ok_or(Errno::EFAULT)?.chunks_exact(size_of::<IrqBlock>());
    blocks.map(from_user::<IrqBlock>).try_for_each(|block| guest.inject(None, floating_irq(&block?)?).map_err(errno))
}

fn register(guest: &Vm, adapter: &IoAdapter) -> Result<(), Errno> {
    let id = adapter.id.get();
    let new = Adapter { subclass: adapter.isc & 7, maskable: adapter.maskable != 0, masked: false };
    if id < IoAdapter::MAX && guest.register_adapter(id, new) { Ok(()) } else { Err(Errno::EINVAL) }
}

fn modify(guest: &Vm, change: &IoAdapterReq) -> Result<(), Errno> {
    let known = guest.adapter(change.id.get()).ok_or(Errno::EINVAL)?;
    match change.kind {
        MASK if !known.maskable => Err(Errno::EINVAL),
        MASK => {
            guest.mask_adapter(change.id.get(), change.mask != 0);
            Ok(())
        }
        // The indicators are found by their guest address each time.
        2 | 3 => Ok(()),
        _ => Err(Errno::EINVAL),
    }
}

fn inject(guest: &Vm, id: u64) -> Result<(), Errno> {
    let id = u32::try_from(id).map_err(|_| Errno::EINVAL)?;
    let adapter = guest.adapter(id).ok_or(Errno::EINVAL)?;
    if adapter.masked {
        return Ok(());
    }
    // Bit 0: an adapter; bits 2 to 4: the subclass.
    let word = 0x8000_0000 | u32::from(adapter.subclass) << 27;
    let irq = IoIrq { subchannel_id: 0, subchannel_nr: 0, parameter: 0, word };
    guest.inject(None, Irq::Io(irq)).map_err(errno)
}
