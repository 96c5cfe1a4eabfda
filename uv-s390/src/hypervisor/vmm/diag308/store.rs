//! Subcodes 6 and 9: store the IPIB, store the PV IPIB.

use super::IplStores;
use super::storage::Operand;
use crate::abi::diag308::Response;
use crate::abi::diag308::Subcode;
use crate::abi::uvc::PgmCode;

/// Writes as many bytes as the stored block states, or answers that there is none (check 15).
pub(super) fn store(
    stores: &IplStores,
    subcode: Subcode,
    address: u64,
    operand: &mut Operand<'_>,
) -> Result<Response, PgmCode> {
    let stored = if subcode == Subcode::STORE_PV { stores.pv() } else { stores.normal() };
    let Some(ipib) = stored else { return Ok(Response::NO_CONFIGURATION) };
    operand.write(address, ipib).map_err(|_| PgmCode::ADDRESSING)?;
    Ok(Response::OK)
}
