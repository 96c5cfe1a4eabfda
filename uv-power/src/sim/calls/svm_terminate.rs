//! `UV_SVM_TERMINATE` (R4 lpid; power-pef §3.13).
//!
//! | # | check | documented | firmware |
//! |---|---|---|---|
//! | 1 | lpid has no object | `U_PARAMETER`; `U_INVALID` for a partition that has an entry and is not secure | `U_SUCCESS` |
//! | 2 | a guest access to a shared page does not end | `U_BUSY`; the VM cannot go on | `U_RETRY` (the published code looks at no CPU) |
//! | - | contexts, cookies, files, pages and slots are dropped, frames wiped; a secure VM's entry becomes (0, 0) | `U_SUCCESS` | `U_SUCCESS` |
//!
//! "Not secure" of the document cannot mean a VM in transition: ending that is what the call is for after
//! `H_SVM_INIT_ABORT`.

use super::super::machine::Inner;
use super::super::svm::SvmState;
use super::busy;
use crate::abi::codes::UvCode;
use crate::abi::regs::{Lpid, Regs};
use core::sync::atomic::Ordering;

/// How often guest accesses are waited for, each time for some milliseconds.
const CLOSE_TRIES: u32 = 256;

pub(super) fn terminate(machine: &Inner, regs: &Regs) -> UvCode {
    let platform = &machine.platform;
    let lpid = Lpid::from_register(regs.gpr[4]);
    let unknown = || match lpid {
        _ if platform.firmware() => UvCode::U_SUCCESS,
        Some(lpid) if platform.entry(lpid) != (0, 0) => UvCode::U_INVALID,
        _ => UvCode::U_PARAMETER,
    };
    let Some(svm) = machine.svm(regs.gpr[4]) else { return unknown() };
    if (0..CLOSE_TRIES).all(|_| svm.space.close().is_err()) {
        return busy(platform);
    }
    let Some(svm) = machine.remove_svm(svm.lpid) else { return unknown() };
    if svm.state() == SvmState::Secure {
        platform.write_entry(svm.lpid, 0, 0);
    }
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
