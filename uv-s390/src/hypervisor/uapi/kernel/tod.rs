//! Attributes of the clock of a VM.
//!
//! | # | condition | result |
//! |---|---|---|
//! | 1 | an unknown attribute | ENXIO |
//! | 2 | set: the VM is protected | EOPNOTSUPP |
//! | 3 | the value cannot be copied | EFAULT |
//! | 4 | set: an epoch index that is not 0 in TOD_HIGH, or in TOD_EXT without facility 139 | EINVAL |

use zerocopy::byteorder::big_endian::U64;

use super::super::model::{TodClock, attr};
use super::copy::{from_user, to_user};
use crate::abi::Errno;
use crate::hypervisor::kernel::Vm;
use crate::hypervisor::uapi::Argument;

/// Facility: multiple epochs.
const MULTIPLE_EPOCH: usize = 139;

pub(super) fn has(attribute: u64) -> Result<u64, Errno> {
    if matches!(attribute, attr::TOD_LOW | attr::TOD_HIGH) { Ok(0) } else { Err(Errno::ENXIO) }
}

pub(super) fn get(guest: &Vm, attribute: u64, argument: &mut Argument<'_>) -> Result<u64, Errno> {
    let (index, tod) = guest.tod();
    match attribute {
        attr::TOD_LOW => to_user(argument.data, &U64::new(tod)),
        attr::TOD_HIGH => to_user(argument.data, &0_u8),
        attr::TOD_EXT => {
            let epoch_idx = if guest.cpu_model().has_facility(MULTIPLE_EPOCH) { index } else { 0 };
            to_user(argument.data, &TodClock { epoch_idx, pad: [0; 7], tod: tod.into() })
        }
        _ => Err(Errno::ENXIO),
    }
    .map(|()| 0)
}

pub(super) fn set(guest: &Vm, attribute: u64, argument: &Argument<'_>) -> Result<u64, Errno> {
    if guest.is_protected() {
        return Err(Errno::EOPNOTSUPP);
    }
    let (index, tod) = match attribute {
        attr::TOD_LOW => (0, from_user::<U64>(argument.data)?.get()),
        attr::TOD_HIGH => return if from_user::<u8>(argument.data)? == 0 { Ok(0) } else { Err(Errno::EINVAL) },
        attr::TOD_EXT => {
            let clock: TodClock = from_user(argument.data)?;
            (clock.epoch_idx, clock.tod.get())
        }
        _ => return Err(Errno::ENXIO),
    };
    if index != 0 && !guest.cpu_model().has_facility(MULTIPLE_EPOCH) {
        return Err(Errno::EINVAL);
    }
    guest.set_tod(index, tod).map(|()| 0).map_err(|_| Errno::EOPNOTSUPP)
}
