//! What several calls check, and the codes they share.

use uv_core::{Gfn, HostAddr};
use uv_sim::SpaceError;

use crate::abi::codes::UvCode;
use crate::abi::numbers::{PAGE_BYTES, PAGE_ORDER, SECURE_ADDRESS};
use crate::sim::platform::Platform;
use crate::sim::svm::Svm;

/// How often a hypervisor's call waits for guest accesses to a page, each time for some milliseconds.
pub(super) const ACCESS_TRIES: u32 = 64;

/// A normal page named by the hypervisor: not 0, not secure, a page address. The firmware does not look at the alignment
/// and would run across the frame; here it is refused in both profiles.
pub(super) fn normal_page(register: u64) -> Option<HostAddr> {
    let good = register != 0 && register & SECURE_ADDRESS == 0 && register.is_multiple_of(PAGE_BYTES);
    good.then_some(HostAddr(register))
}

/// A guest page named by the hypervisor: a page address in a registered slot. Alignment as in [`normal_page`].
pub(super) fn page_in_slot(svm: &Svm, register: u64) -> Option<Gfn> {
    let gfn = Gfn(register >> PAGE_ORDER);
    (register.is_multiple_of(PAGE_BYTES) && svm.slots.read().contains(gfn)).then_some(gfn)
}

/// The code of a call on pages of a VM whose transition failed. The document's lists have no code of the state, so the VM is what is
/// wrong.
pub(super) fn aborted(platform: &Platform) -> UvCode {
    if platform.firmware() { UvCode::U_STATE } else { UvCode::U_PARAMETER }
}

/// The code for a page that is in motion or for which there is no frame right now.
pub(super) fn busy(platform: &Platform) -> UvCode {
    if platform.firmware() { UvCode::U_RETRY } else { UvCode::U_BUSY }
}

/// The code of an engine's refusal that no row of a call's table names.
pub(super) fn refused(platform: &Platform, error: SpaceError) -> UvCode {
    match error {
        SpaceError::Busy(_) | SpaceError::NoFrame => busy(platform),
        SpaceError::Memory(_) | SpaceError::Unaligned(_) => UvCode::U_P2,
        SpaceError::Closed => UvCode::U_PARAMETER,
        SpaceError::OutOfRange(_) | SpaceError::State { .. } | SpaceError::Integrity(_) => UvCode::U_P3,
    }
}

/// Takes the lock of a page in a slot. The documented ultravisor says [`UvCode::U_BUSY`] when another CPU has it, the firmware
/// waits. The slot is looked at again under the lock: it may have been taken away meanwhile, and then this is `outside`.
pub(super) fn lock<'a>(
    platform: &Platform,
    svm: &'a Svm,
    gfn: Gfn,
    outside: UvCode,
) -> Result<spin::MutexGuard<'a, ()>, UvCode> {
    let held = if platform.firmware() { svm.lock(gfn) } else { svm.try_lock(gfn).ok_or(UvCode::U_BUSY)? };
    if svm.slots.read().contains(gfn) { Ok(held) } else { Err(outside) }
}

/// The low 16 bits of a register: the slot number.
pub(super) fn slot_number(register: u64) -> u16 {
    let [.., high, low] = register.to_be_bytes();
    u16::from_be_bytes([high, low])
}
