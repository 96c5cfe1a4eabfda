//! KVM_SET_DEVICE_ATTR, KVM_GET_DEVICE_ATTR, KVM_HAS_DEVICE_ATTR on the VM: the CPU model here, memory in `mem_ctrl`.
//!
//! | # | condition | result |
//! |---|---|---|
//! | 1 | another group or attribute | ENXIO |
//! | 2 | set: the machine's features | ENXIO |
//! | 3 | set, get: 8 bytes cannot be copied | EFAULT |
//! | 4 | set: a bit that the machine does not have, or that is no feature of protected guests | EINVAL |
//! | 5 | set: the VM has vCPUs | EBUSY |

use super::super::model::{DeviceAttr, attr};
use super::copy::{from_user, to_user};
use super::mem_ctrl;
use crate::abi::Errno;
use crate::abi::uvcb::Features;
use crate::hypervisor::kernel::Guest;
use crate::hypervisor::kernel::HostError;
use crate::hypervisor::uapi::Argument;
use zerocopy::byteorder::big_endian::U64;

/// The attribute that the argument names, of a group that is known.
enum Attribute {
    Memory(u64),
    Model(u64),
}

fn attribute(argument: &Argument<'_>) -> Result<Attribute, Errno> {
    let named: DeviceAttr = from_user(argument.block)?;
    match (named.group.get(), named.attr.get()) {
        (attr::MEM_CTRL, attr) => Ok(Attribute::Memory(attr)),
        (attr::CPU_MODEL, attr @ (attr::PROCESSOR_UV_FEAT_GUEST | attr::MACHINE_UV_FEAT_GUEST)) => {
            Ok(Attribute::Model(attr))
        }
        _ => Err(Errno::ENXIO),
    }
}

pub(super) fn has(argument: &Argument<'_>) -> Result<u64, Errno> {
    match attribute(argument)? {
        Attribute::Memory(attr) => mem_ctrl::has(attr),
        Attribute::Model(_) => Ok(0),
    }
}

pub(super) fn get(guest: &Guest, argument: &mut Argument<'_>) -> Result<u64, Errno> {
    let features = match attribute(argument)? {
        Attribute::Memory(attr) => return mem_ctrl::get(guest, attr, argument),
        Attribute::Model(attr::PROCESSOR_UV_FEAT_GUEST) => guest.uv_features(),
        Attribute::Model(_) => guest.host().features_for_guests(),
    };
    to_user(argument.data, &U64::new(features.bits())).map(|()| 0)
}

pub(super) fn set(guest: &Guest, argument: &Argument<'_>) -> Result<u64, Errno> {
    match attribute(argument)? {
        Attribute::Memory(attr) => return mem_ctrl::set(guest, attr, argument),
        Attribute::Model(attr::PROCESSOR_UV_FEAT_GUEST) => {}
        Attribute::Model(_) => return Err(Errno::ENXIO),
    }
    let features = Features::from_bits_retain(from_user::<U64>(argument.data)?.get());
    guest.set_uv_features(features).map(|()| 0).map_err(|error| match error {
        HostError::Busy => Errno::EBUSY,
        _ => Errno::EINVAL,
    })
}
