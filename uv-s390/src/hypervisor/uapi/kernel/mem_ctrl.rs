//! Attributes of the memory of a VM.
//!
//! | # | condition | result |
//! |---|---|---|
//! | 1 | collaborative memory management, which the machine does not have; an unknown attribute | ENXIO |
//! | 2 | 8 bytes cannot be copied | EFAULT |
//! | 3 | set: more than the VM was made with | E2BIG |
//! | 4 | set: 0 | EINVAL |
//! | 5 | set: the VM has vCPUs, or is protected (KVM does not look at the latter) | EBUSY |
//! | 6 | set: no storage for tables | ENOMEM |

use zerocopy::byteorder::big_endian::U64;

use super::super::model::attr;
use super::copy::{from_user, to_user};
use crate::abi::Errno;
use crate::hypervisor::kernel::HostError;
use crate::hypervisor::kernel::Vm;
use crate::hypervisor::uapi::Argument;

pub(super) fn has(attribute: u64) -> Result<u64, Errno> {
    if attribute == attr::LIMIT_SIZE { Ok(0) } else { Err(Errno::ENXIO) }
}

pub(super) fn get(guest: &Vm, attribute: u64, argument: &mut Argument<'_>) -> Result<u64, Errno> {
    has(attribute)?;
    to_user(argument.data, &U64::new(guest.limit())).map(|()| 0)
}

pub(super) fn set(guest: &Vm, attribute: u64, argument: &Argument<'_>) -> Result<u64, Errno> {
    has(attribute)?;
    let limit = from_user::<U64>(argument.data)?.get();
    if limit > guest.limit() {
        return Err(Errno::E2BIG);
    }
    if limit == 0 {
        return Err(Errno::EINVAL);
    }
    guest.limit_tables(limit).map(|()| 0).map_err(|error| match error {
        HostError::NoStorage(_) => Errno::ENOMEM,
        _ => Errno::EBUSY,
    })
}
