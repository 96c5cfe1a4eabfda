//! Subcode 10: start as a protected guest.

use super::{IplStores, MachineModel, Outcome, ResetRequest};
use crate::abi::diag308::Response;

/// Checks 16 and 17 of s390-ultravisor §5.3; then the request for the machine.
///
/// The machine's start sequence carries it out and puts [`Response::CANNOT_ENTER`] in GR r1+1 if it fails.
pub(super) fn start(stores: &IplStores, machine: &MachineModel<'_>) -> Outcome {
    if stores.pv().is_none() {
        return Outcome::Response(Response::NO_PV_CONFIGURATION);
    }
    if machine.huge_pages {
        return Outcome::Response(Response::CANNOT_ENTER);
    }
    Outcome::Reset(ResetRequest::Protected)
}
