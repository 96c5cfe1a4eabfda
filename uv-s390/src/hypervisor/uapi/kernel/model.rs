//! KVM_SET_DEVICE_ATTR, KVM_GET_DEVICE_ATTR, KVM_HAS_DEVICE_ATTR for the CPU model.
//!
//! | # | condition | result |
//! |---|---|---|
//! | 1 | another group or attribute | ENXIO |
//! | 2 | set: the machine's features | ENXIO |
//! | 3 | set, get: 8 bytes cannot be copied | EFAULT |
//! | 4 | set: a bit that the machine does not have, or that is no feature of protected guests | EINVAL |
//! | 5 | set: the VM has vCPUs | EBUSY |

use zerocopy::byteorder::big_endian::U64;

use super::super::model::{DeviceAttr, attr};
use super::{Argument, Guest, from_user, to_user};
use crate::abi::Errno;
use crate::abi::uvcb::Features;
use crate::hypervisor::kernel::HostError;

/// The attribute that the argument names.
fn attribute(argument: &Argument<'_>) -> Result<u64, Errno> {
    let named: DeviceAttr = from_user(argument.block)?;
    let known = [attr::PROCESSOR_UV_FEAT_GUEST, attr::MACHINE_UV_FEAT_GUEST].contains(&named.attr.get());
    if named.group.get() == attr::CPU_MODEL && known { Ok(named.attr.get()) } else { Err(Errno::ENXIO) }
}

pub(super) fn has(argument: &Argument<'_>) -> Result<u64, Errno> {
    attribute(argument).map(|_| 0)
}

pub(super) fn get(guest: &Guest, argument: &mut Argument<'_>) -> Result<u64, Errno> {
    let features = match attribute(argument)? {
        attr::PROCESSOR_UV_FEAT_GUEST => guest.uv_features(),
        _ => guest.host().features_for_guests(),
    };
    to_user(argument.data, &U64::new(features.bits())).map(|()| 0)
}

pub(super) fn set(guest: &Guest, argument: &Argument<'_>) -> Result<u64, Errno> {
    if attribute(argument)? != attr::PROCESSOR_UV_FEAT_GUEST {
        return Err(Errno::ENXIO);
    }
    let features = Features::from_bits_retain(from_user::<U64>(argument.data)?.get());
    guest.set_uv_features(features).map(|()| 0).map_err(|error| match error {
        HostError::Busy => Errno::EBUSY,
        _ => Errno::EINVAL,
    })
}
