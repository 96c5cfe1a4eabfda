//! Subcodes 5 and 8: set the IPIB, set the PV IPIB.

use alloc::vec;

use super::storage::Operand;
use super::{IplStores, MachineModel, checks};
use crate::abi::diag308::Response;
use crate::abi::diag308::Subcode;
use crate::abi::ipib::{BlockType, IpibView, MAX_LENGTH};
use crate::abi::uvc::PgmCode;

/// Reads the block and keeps it if it is valid; otherwise the stores stay as they are.
///
/// The length is read first, then exactly that many bytes into a page of zeros. Storage that goes away between the check
/// of the operand and the read (another thread's doing) counts as not addressable.
pub(super) fn set(
    stores: &mut IplStores,
    machine: &MachineModel<'_>,
    subcode: Subcode,
    address: u64,
    operand: &Operand<'_>,
) -> Result<Response, PgmCode> {
    let mut page = vec![0; usize::try_from(MAX_LENGTH).unwrap_or(0)];
    let gone = |_| PgmCode::ADDRESSING;
    operand.read(address, &mut page[..4]).map_err(gone)?;
    if !checks::length(&IpibView::new(&page)) {
        return Ok(Response::INVALID_IPIB);
    }
    let stated = stated_length(&page);
    operand.read(address, &mut page[..stated.max(4)]).map_err(gone)?;
    let stated = stated_length(&page).min(page.len());
    let view = IpibView::new(&page);
    if subcode == Subcode::SET_PV {
        // Subcode 8 was refused before for a protected guest, so the header is in guest storage too.
        let Operand::Guest(storage) = operand else { return Err(PgmCode::SPECIFICATION) };
        if !checks::pv(&view, storage) {
            return Ok(Response::INVALID_IPIB);
        }
        page.truncate(stated);
        stores.set_pv(page);
        return Ok(Response::OK);
    }
    if view.block_type() == BlockType::QEMU_SCSI {
        if let Some(rebuild) = machine.rebuild {
            rebuild(&mut page);
        }
        let stated = stated_length(&page).min(page.len());
        page.truncate(stated);
    } else if checks::normal(&view) {
        page.truncate(stated);
    } else {
        return Ok(Response::INVALID_IPIB);
    }
    stores.set_normal(page);
    Ok(Response::OK)
}

fn stated_length(page: &[u8]) -> usize {
    usize::try_from(IpibView::new(page).total_length()).unwrap_or(usize::MAX)
}
