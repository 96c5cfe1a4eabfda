//! Attributes of the cryptography of a VM. None has a value.
//!
//! | # | condition | result |
//! |---|---|---|
//! | 1 | an unknown attribute; AP instructions, which the kernel's machine does not interpret | ENXIO; set: EOPNOTSUPP for the latter |
//! | 2 | set: the guest's CPU has no facility 76 | EINVAL |

use super::super::model::attr;
use crate::abi::Errno;
use crate::hypervisor::kernel::Vm;

/// Facility: message-security assist 3, which has wrapped keys.
const MSA3: usize = 76;

pub(super) fn has(attribute: u64) -> Result<u64, Errno> {
    match attribute {
        attr::ENABLE_AES_KW | attr::ENABLE_DEA_KW | attr::DISABLE_AES_KW | attr::DISABLE_DEA_KW => Ok(0),
        _ => Err(Errno::ENXIO),
    }
}

pub(super) fn set(guest: &Vm, attribute: u64) -> Result<u64, Errno> {
    if matches!(attribute, attr::ENABLE_APIE | attr::DISABLE_APIE) {
        return Err(Errno::EOPNOTSUPP);
    }
    has(attribute)?;
    if !guest.cpu_model().has_facility(MSA3) {
        return Err(Errno::EINVAL);
    }
    let mut wrapping = guest.key_wrapping();
    let on = matches!(attribute, attr::ENABLE_AES_KW | attr::ENABLE_DEA_KW);
    if matches!(attribute, attr::ENABLE_AES_KW | attr::DISABLE_AES_KW) {
        wrapping.aes = on;
    } else {
        wrapping.dea = on;
    }
    guest.set_key_wrapping(wrapping);
    Ok(0)
}
