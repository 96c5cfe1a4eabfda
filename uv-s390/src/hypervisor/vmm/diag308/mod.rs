//! DIAGNOSE 0x308: how a guest resets itself, names what to load, and asks to become a protected guest.
//!
//! Who uses it: the hypervisor, on its guest's behalf. [`handle`] is what QEMU does with the instruction, for an ordinary
//! guest and for a protected one; [`kernel::diag308`](crate::hypervisor::kernel::diag308) is the part that KVM takes for itself before. Both only decide: a reset or a
//! load is handed back as a [`ResetRequest`] for the machine's own sequence.
//!
//! `diag r1,r3,0x308`: GR r3 holds the subcode, GR r1 an address, GR r1+1 receives the response code.
//!
//! | subcodes | file | ordinary guest | protected guest |
//! |---|---|---|---|
//! | 0, 1 | `reset` | reset request | notification 108, reset request |
//! | 3 | `reset` | re-IPL | re-IPL, leaves protection |
//! | 2, 4, 7, others | `reset` | specification exception | specification exception |
//! | 5, 8 | `set` | set the IPIB, the PV IPIB | 5 from the SIDA; 8: specification exception |
//! | 6, 9 | `store` | store the IPIB, the PV IPIB | 6 to the SIDA; 9: specification exception |
//! | 10 | `start` | start as a protected guest | specification exception |
//!
//! The stores of 5/6 and of 8/9 are separate. Source: s390-ultravisor §5.

mod checks;
mod instruction;
mod reset;
mod set;
mod start;
mod storage;
mod store;
mod stores;
#[cfg(test)]
mod tests;

pub use instruction::{MachineModel, Outcome, Rebuild, ResetRequest};
pub use storage::Operand;
pub use stores::IplStores;

use crate::abi::diag308::{Diag308, Subcode};
use crate::abi::uvc::PgmCode;

/// Handles one DIAG 308 as QEMU does: checks in the order of s390-ultravisor §5.3, then the subcode.
///
/// Who calls: the hypervisor, on a vCPU that stopped at the instruction. After [`Outcome::Response`] the value goes to
/// GR r1+1 and the guest goes on behind the instruction; after [`Outcome::Program`] the interruption is injected; after
/// [`Outcome::Reset`] the guest does not go on, the machine's sequence decides.
///
/// `operand` is the guest's storage for an ordinary guest and the SIDA for a protected one; that decides which of the two
/// columns above holds. A protected guest's subcodes 2, 4, 7 to 10 never reach a hypervisor (the Ultravisor raises the
/// exception itself); should one be handed in, the same exception is the answer.
pub fn handle(stores: &mut IplStores, machine: &MachineModel<'_>, call: Diag308, operand: Operand<'_>) -> Outcome {
    let outcome = decide(stores, machine, call, operand).unwrap_or_else(Outcome::Program);
    tracing::debug!(subcode = call.subcode, ?outcome, "DIAG 308");
    outcome
}

fn decide(
    stores: &mut IplStores,
    machine: &MachineModel<'_>,
    call: Diag308,
    mut operand: Operand<'_>,
) -> Result<Outcome, PgmCode> {
    if call.problem_state {
        return Err(PgmCode::PRIVILEGED_OPERATION);
    }
    let subcode = Subcode(u16::try_from(call.subcode).map_err(|_| PgmCode::SPECIFICATION)?);
    if subcode >= Subcode::SET_PV && (!machine.unpack_facility || operand.is_protected()) {
        return Err(PgmCode::SPECIFICATION);
    }
    match subcode {
        Subcode::MODIFIED_CLEAR | Subcode::LOAD_NORMAL_RESET | Subcode::LOAD_CLEAR => {
            reset::request(subcode).map(Outcome::Reset)
        }
        Subcode::SET | Subcode::SET_PV => {
            checks::operand(call, &operand)?;
            set::set(stores, machine, subcode, call.address, &operand).map(Outcome::Response)
        }
        Subcode::STORE | Subcode::STORE_PV => {
            checks::operand(call, &operand)?;
            store::store(stores, subcode, call.address, &mut operand).map(Outcome::Response)
        }
        Subcode::START_PV => Ok(start::start(stores, machine)),
        _ => Err(PgmCode::SPECIFICATION),
    }
}
