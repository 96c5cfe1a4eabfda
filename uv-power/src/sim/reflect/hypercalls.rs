//! A hypercall of a secure guest, by its row of [`abi::calls`](crate::abi::calls).
//!
//! | row | what happens |
//! |---|---|
//! | any, of user code | documented: the guest gets a program interrupt (privileged), nobody serves it; firmware: as of the kernel, SRR1 tells PR |
//! | `random` | not reflected; documented: the ultravisor makes the number (R4); firmware: `H_FUNCTION` |
//! | `cede` | external interrupts are enabled for the guest, then reflected with the real decrementer |
//! | `rtas` | bounced |
//! | `unusable`, `unknown`, or no row | `H_FUNCTION` (the published code stops the machine) |
//! | `reflected` | R3 … of its window |

use alloc::sync::Arc;

use super::caller::Guest;
use super::enter::{Reason, enter, to_guest};
use super::neutral::Frame;
use super::rtas::rtas;
use crate::abi::calls::hypercalls::hypercalls;
use crate::abi::calls::{HypercallRow, hypercall as row_of};
use crate::abi::codes::HvCode;
use crate::abi::msr::{Msr, STATUS_PRIVILEGED};
use crate::abi::numbers::HvCall;
use crate::abi::regs::Regs;
use crate::sim::flow::Next;
use crate::sim::inner::Inner;
use crate::sim::svm::Svm;
use crate::sim::vcpu::state::VcpuState;
use crate::sim::vectors;

/// What serves a row.
type Serve = fn(Guest<'_>, &HypercallRow) -> Next;

macro_rules! served {
    ($($(#[$doc:meta])* $call:ident = $number:literal, $handler:ident $(($inputs:literal, $outputs:literal))?;)*) => {
        &[$((HvCall($number), $handler as Serve)),*]
    };
}

const SERVED: &[(HvCall, Serve)] = hypercalls!(served);

/// A hypercall of the guest.
pub(crate) fn hypercall(machine: &Inner, svm: &Arc<Svm>, st: &mut VcpuState, hv: &mut Regs) -> Next {
    let number = HvCall(st.regs.gpr[3]);
    if st.regs.msr().contains(Msr::PR) && !machine.platform.firmware() {
        // SRR0 is after the `sc`, as where a hypervisor gives this interrupt.
        to_guest(st, vectors::PROGRAM, STATUS_PRIVILEGED);
        st.finish_call();
        return Next::Guest;
    }
    let guest = Guest { machine, svm, st, hv };
    let served = SERVED.binary_search_by_key(&number, |(call, _)| *call).ok().and_then(|index| SERVED.get(index));
    match (served, row_of(number)) {
        (Some((_, serve)), Some(row)) => serve(guest, row),
        _ => guest.answered(HvCode::H_FUNCTION),
    }
}

/// The hypervisor gets the call.
fn reflected(guest: Guest<'_>, row: &HypercallRow) -> Next {
    let Some(window) = row.window else { return guest.answered(HvCode::H_FUNCTION) };
    let frame = Frame::Hypercall { inputs: window.inputs, junk: guest.machine.platform.random() };
    let reason = Reason { vector: vectors::SYSTEM_CALL, window: Some(window), flow: None };
    enter(guest.machine, guest.svm, guest.st, guest.hv, reason, frame)
}

/// `H_CEDE`.
fn cede(guest: Guest<'_>, row: &HypercallRow) -> Next {
    guest.st.regs.msr |= Msr::EE.bits();
    reflected(guest, row)
}

/// `H_RANDOM`.
fn random(guest: Guest<'_>, _: &HypercallRow) -> Next {
    if guest.machine.platform.firmware() {
        return guest.answered(HvCode::H_FUNCTION);
    }
    guest.st.regs.gpr[4] = guest.machine.platform.random();
    guest.answered(HvCode::H_SUCCESS)
}

/// A call that a secure VM cannot use.
fn unusable(guest: Guest<'_>, _: &HypercallRow) -> Next {
    guest.answered(HvCode::H_FUNCTION)
}

/// A call that the ultravisor makes itself and does not know from a guest.
fn unknown(guest: Guest<'_>, row: &HypercallRow) -> Next {
    unusable(guest, row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::calls::HYPERCALLS;

    #[test]
    fn every_row_is_found_by_its_number() {
        assert!(SERVED.iter().map(|(call, _)| *call).eq(HYPERCALLS.iter().map(|row| row.call)));
    }
}
