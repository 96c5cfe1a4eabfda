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

use super::super::inner::Inner;
use super::super::svm::SvmState;
use super::checks::{ACCESS_TRIES, busy};
use crate::abi::codes::UvCode;
use crate::abi::regs::{Lpid, Regs};
use core::sync::atomic::Ordering;

pub(super) fn terminate(machine: &Inner, regs: &Regs) -> UvCode {
    let platform = &machine.platform;
    let lpid = Lpid::from_register(regs.gpr[4]);
    let unknown = || match lpid {
        _ if platform.firmware() => UvCode::U_SUCCESS,
        Some(lpid) if platform.entry(lpid) != (0, 0) => UvCode::U_INVALID,
        _ => UvCode::U_PARAMETER,
    };
    let Some(svm) = machine.svm(regs.gpr[4]) else { return unknown() };
    if (0..ACCESS_TRIES).all(|_| svm.space.close().is_err()) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::Msr;
    use crate::abi::numbers::{HvCall, UltracallNumber};
    use crate::abi::ultracall::Ultracall;
    use crate::owner::keys::PrivateKey;
    use crate::owner::samples;
    use crate::sim::{Machine, MachineConfig};
    use alloc::sync::Arc;
    use uv_sim::HostMemory;

    /// What a virtual CPU waits for, and the cookies that stand for it, end with the VM: no key and no plaintext of a flow stays.
    #[test]
    fn nothing_waits_for_a_vm_that_has_ended() {
        let config = MachineConfig {
            secure_pages: 64,
            ..MachineConfig::new(PrivateKey::from_pem(samples::MACHINE1, None).unwrap())
        };
        let machine = Machine::new(config, Arc::new(HostMemory::new(1 << 20)));
        let mut regs =
            Regs { lpidr: Lpid(7), ..Regs::default() }.with_call(UltracallNumber::UV_ESM, &[0x10000, 0x20000]);
        regs.msr = (Msr::SF | Msr::ME).bits();
        machine.ultracall(&mut regs);
        assert_eq!((regs.nip, regs.gpr[3]), (0xc00, HvCall::H_SVM_INIT_START.0));
        let (svm, vcpu) = (machine.inner().svm(7).unwrap(), machine.inner().vcpu(Lpid(7), 0).unwrap());
        assert!(vcpu.state.lock().context.is_some());
        let end = Regs::hypervisor().with_call(UltracallNumber::UV_SVM_TERMINATE, &[7]);
        assert_eq!(terminate(machine.inner(), &end), UvCode::U_SUCCESS);
        assert!(vcpu.state.lock().context.is_none(), "the flow is dropped");
        assert_eq!(svm.cookies.lock().take_context(regs.gpr[31]), None);
        assert_eq!(Arc::strong_count(&svm), 1, "nobody else holds the VM");
        assert!(svm.space.is_closed());
    }
}
