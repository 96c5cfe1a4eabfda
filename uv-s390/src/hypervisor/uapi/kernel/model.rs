//! KVM_SET_DEVICE_ATTR, KVM_GET_DEVICE_ATTR, KVM_HAS_DEVICE_ATTR on the VM: what is asked for, and the Ultravisor's part of the CPU
//! model. The rest of the model is in `cpu_model`, memory in `mem_ctrl`, the clock in `tod`, cryptography in `crypto`.
//!
//! | # | condition | result |
//! |---|---|---|
//! | 1 | another group or attribute | ENXIO |
//! | 2 | set: what the machine has | ENXIO |
//! | 3 | the value cannot be copied | EFAULT |
//! | 4 | set: a feature that the machine does not have, or that is no feature of protected guests | EINVAL |
//! | 5 | set: the VM has vCPUs | EBUSY |
//!
//! An instruction blocking control beyond what the machine has becomes the nearest that it has.

use super::super::model::{DeviceAttr, attr};
use super::copy::{from_user, to_user};
use super::{cpu_model, crypto, mem_ctrl, tod};
use crate::abi::Errno;
use crate::abi::uvcb::Features;
use crate::hypervisor::kernel::HostError;
use crate::hypervisor::kernel::Vm;
use crate::hypervisor::uapi::Argument;
use zerocopy::byteorder::big_endian::U64;

/// The attribute that the argument names, of a group that is known.
#[derive(Clone, Copy)]
enum Attribute {
    Memory(u64),
    Clock(u64),
    Cryptography(u64),
    Cpu(u64),
    Ultravisor(u64),
}

fn attribute(argument: &Argument<'_>) -> Result<Attribute, Errno> {
    let named: DeviceAttr = from_user(argument.block)?;
    Ok(match (named.group.get(), named.attr.get()) {
        (attr::MEM_CTRL, attr) => Attribute::Memory(attr),
        (attr::TOD, attr) => Attribute::Clock(attr),
        (attr::CRYPTO, attr) => Attribute::Cryptography(attr),
        (attr::CPU_MODEL, attr @ attr::PROCESSOR..=attr::MACHINE_SUBFUNC) => Attribute::Cpu(attr),
        (attr::CPU_MODEL, attr @ (attr::PROCESSOR_UV_FEAT_GUEST | attr::MACHINE_UV_FEAT_GUEST)) => {
            Attribute::Ultravisor(attr)
        }
        _ => return Err(Errno::ENXIO),
    })
}

pub(super) fn has(argument: &Argument<'_>) -> Result<u64, Errno> {
    match attribute(argument)? {
        Attribute::Memory(attr) => mem_ctrl::has(attr),
        Attribute::Clock(attr) => tod::has(attr),
        Attribute::Cryptography(attr) => crypto::has(attr),
        Attribute::Cpu(_) | Attribute::Ultravisor(_) => Ok(0),
    }
}

pub(super) fn get(guest: &Vm, argument: &mut Argument<'_>) -> Result<u64, Errno> {
    let features = match attribute(argument)? {
        Attribute::Memory(attr) => return mem_ctrl::get(guest, attr, argument),
        Attribute::Clock(attr) => return tod::get(guest, attr, argument),
        Attribute::Cryptography(_) => return Err(Errno::ENXIO),
        Attribute::Cpu(attr) => return cpu_model::get(guest, attr, argument),
        Attribute::Ultravisor(attr::PROCESSOR_UV_FEAT_GUEST) => guest.uv_features(),
        Attribute::Ultravisor(_) => guest.host().features_for_guests(),
    };
    to_user(argument.data, &U64::new(features.bits())).map(|()| 0)
}

pub(super) fn set(guest: &Vm, argument: &Argument<'_>) -> Result<u64, Errno> {
    match attribute(argument)? {
        Attribute::Memory(attr) => return mem_ctrl::set(guest, attr, argument),
        Attribute::Clock(attr) => return tod::set(guest, attr, argument),
        Attribute::Cryptography(attr) => return crypto::set(guest, attr),
        Attribute::Cpu(attr) => return cpu_model::set(guest, attr, argument),
        Attribute::Ultravisor(attr::PROCESSOR_UV_FEAT_GUEST) => {}
        Attribute::Ultravisor(_) => return Err(Errno::ENXIO),
    }
    let features = Features::from_bits_retain(from_user::<U64>(argument.data)?.get());
    guest.set_uv_features(features).map(|()| 0).map_err(|error| match error {
        HostError::Busy => Errno::EBUSY,
        _ => Errno::EINVAL,
    })
}
