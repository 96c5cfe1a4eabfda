//! Storage keys.
//!
//! | # | condition | result |
//! |---|---|---|
//! | 1 | flags | EINVAL |
//! | 2 | get: the VM uses no storage keys | 1 |
//! | 3 | no page, or more than 1 MiB pages | EINVAL |
//! | 4 | set: the keys cannot be copied in | EFAULT |
//! | 5 | a page in no slot | EFAULT |
//! | 6 | set: a key with bit 7 | EINVAL; those before it are set |
//! | 7 | get: the keys cannot be copied out | EFAULT |

use alloc::vec::Vec;

use uv_core::Gfn;

use super::super::super::SKeys;
use super::super::copy::{from_user, to_user};
use crate::abi::Errno;
use crate::hypervisor::kernel::Vm;
use crate::hypervisor::uapi::Argument;

/// `KVM_S390_GET_SKEYS`.
pub(in super::super) fn get(guest: &Vm, argument: &mut Argument<'_>) -> Result<u64, Errno> {
    let asked: SKeys = from_user(argument.block)?;
    if asked.flags.get() != 0 {
        return Err(Errno::EINVAL);
    }
    if !guest.uses_storage_keys() {
        return Ok(SKeys::NONE);
    }
    let keys: Vec<u8> =
        range(&asked)?.map(|gfn| guest.storage_key(gfn?).map_err(|_| Errno::EFAULT)).collect::<Result<_, _>>()?;
    to_user(argument.data, keys.as_slice()).map(|()| 0)
}

/// `KVM_S390_SET_SKEYS`.
pub(in super::super) fn set(guest: &Vm, argument: &mut Argument<'_>) -> Result<u64, Errno> {
    let asked: SKeys = from_user(argument.block)?;
    if asked.flags.get() != 0 {
        return Err(Errno::EINVAL);
    }
    let pages = range(&asked)?;
    let count = usize::try_from(asked.count.get()).map_err(|_| Errno::EFAULT)?;
    for (gfn, key) in pages.zip(argument.data.get(..count).ok_or(Errno::EFAULT)?) {
        let gfn = gfn?;
        guest.storage_key(gfn).map_err(|_| Errno::EFAULT)?;
        if key & 1 != 0 {
            return Err(Errno::EINVAL);
        }
        guest.set_storage_key(gfn, *key).map_err(|_| Errno::EFAULT)?;
    }
    Ok(0)
}

/// The pages; one past the end of all addresses is in no slot.
fn range(asked: &SKeys) -> Result<impl Iterator<Item = Result<Gfn, Errno>> + use<>, Errno> {
    let (first, count) = (asked.start_gfn.get(), asked.count.get());
    if !(1..=SKeys::MAX).contains(&count) {
        return Err(Errno::EINVAL);
    }
    Ok((0..count).map(move |page| first.checked_add(page).map(Gfn).ok_or(Errno::EFAULT)))
}
