//! The checks of s390-ultravisor §5.3 on the operand and on its content.

use uv_core::{GuestAddr, PageSize};

use super::storage::Operand;
use crate::abi::diag308::Diag308;
use crate::abi::ipib::{BlockType, IpibView, MAX_LENGTH, MAX_SE_HEADER_LENGTH};
use crate::abi::uvc::PgmCode;
use crate::hypervisor::GuestStorage;

/// Checks 4 and 5: register and address of the operand. A protected guest's were checked by the Ultravisor.
///
/// All guest storage can be written as well as read, so the check is the same for setting and storing.
pub(super) fn operand(call: Diag308, operand: &Operand<'_>) -> Result<(), PgmCode> {
    let Operand::Guest(storage) = operand else { return Ok(()) };
    if call.r1 & 1 != 0 || !PageSize::K4.is_aligned(call.address) {
        return Err(PgmCode::SPECIFICATION);
    }
    storage.check(GuestAddr(call.address), MAX_LENGTH.into()).map_err(|_| PgmCode::ADDRESSING)
}

/// Check 6: the length field fits a page.
pub(super) fn length(view: &IpibView<'_>) -> bool {
    view.total_length() <= MAX_LENGTH
}

/// Checks 7 to 13: a PV IPIB whose SE header lies in `storage`.
///
/// Check 11 (all components inside the stated length) is the newer QEMU's; without it, components are read from whatever
/// lies behind the block.
pub(super) fn pv(view: &IpibView<'_>, storage: &GuestStorage<'_>) -> bool {
    let minimum = BlockType::PV.min_length().unwrap_or(MAX_LENGTH);
    if view.block_type() != BlockType::PV || view.total_length() < minimum {
        return false;
    }
    if view.header_length() > MAX_SE_HEADER_LENGTH {
        return false;
    }
    if storage.check(GuestAddr(view.header_address()), view.header_length()).is_err() {
        return false;
    }
    if view.component_count() == 0 || view.required_length() > view.total_length().into() {
        return false;
    }
    let mut last = None;
    view.components().all(|component| {
        let prefix = component.tweak_prefix.get();
        let grows = last.replace(prefix).is_none_or(|last| last < prefix);
        grows && PageSize::K4.is_aligned(component.address.get())
    })
}

/// Check 14: a block of subcode 5, by type. The block type 0xff is the caller's: it is rebuilt, not checked.
pub(super) fn normal(view: &IpibView<'_>) -> bool {
    match view.block_type() {
        kind @ (BlockType::FCP | BlockType::CCW | BlockType::PCI) => {
            kind.min_length().is_some_and(|least| view.total_length() >= least)
        }
        _ => false,
    }
}
