//! Subcodes 0, 1 and 3: reset and re-IPL.

use super::ResetRequest;
use crate::abi::diag308::Subcode;
use crate::abi::uvc::PgmCode;

/// The request that a reset subcode stands for.
///
/// Subcode 4 (load normal with dump) is KVM's own (see [`kernel`](super::kernel)); QEMU's decoder, and the Ultravisor for
/// a protected guest, have a specification exception for it as for 2 and 7.
pub(super) fn request(subcode: Subcode) -> Result<ResetRequest, PgmCode> {
    match subcode {
        Subcode::MODIFIED_CLEAR => Ok(ResetRequest::ModifiedClear),
        Subcode::LOAD_NORMAL_RESET => Ok(ResetRequest::LoadNormal),
        Subcode::LOAD_CLEAR => Ok(ResetRequest::ReIpl),
        _ => Err(PgmCode::SPECIFICATION),
    }
}
