//! `UV_SVM_TERMINATE` (R4 lpid; power-pef §3.13).
//!
//! | # | check | documented | firmware |
//! |---|---|---|---|
//! | 1 | lpid has no object | `U_PARAMETER`; `U_INVALID` for a partition that has an entry and is not secure | `U_SUCCESS` |
//! | - | contexts, cookies, files, pages and slots are dropped, frames wiped; a secure VM's entry becomes (0, 0) | `U_SUCCESS` | `U_SUCCESS` |
//!
//! "Not secure" of the document cannot mean a VM in transition: ending that is what the call is for after
//! `H_SVM_INIT_ABORT`.

use core::sync::atomic::Ordering;

use super::super::machine::Inner;
use super::super::svm::SvmState;
use crate::abi::codes::UvCode;
use crate::abi::regs::{Lpid, Regs};

pub(super) fn terminate(machine: &Inner, regs: &Regs) -> UvCode {
    let platform = &machine.platform;
    let lpid = Lpid::from_register(regs.gpr[4]);
    let Some(svm) = lpid.and_then(|lpid| machine.remove_svm(lpid)) else {
        return match lpid {
            _ if platform.firmware() => UvCode::U_SUCCESS,
            Some(lpid) if platform.entry(lpid) != (0, 0) => UvCode::U_INVALID,
            _ => UvCode::U_PARAMETER,
        };
    };
    if svm.state() == SvmState::Secure {
        platform.write_entry(svm.lpid, 0, 0);
    }
    svm.space.close();
    svm.cookies.lock().clear();
    platform.release(svm.reserved.swap(0, Ordering::Relaxed));
    for vcpu in machine.vcpus_of(svm.lpid) {
        // A virtual CPU that runs finds the closed memory at its next access.
        if let Some(mut st) = vcpu.state.try_lock() {
            st.context = None;
        }
    }
    tracing::debug!(lpid = svm.lpid.0, "secure VM ended");
    UvCode::U_SUCCESS
}
