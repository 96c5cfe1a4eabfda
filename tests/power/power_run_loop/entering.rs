//! The way into secure mode and out of it.

use uv_core::{EnterSecureMode, ErrorKind, Exit, Gfn, SecureVm, Vcpu, VmState};
use uv_power::abi::HvCode;
use uv_power::abi::msr::SC_LEVEL_1;
use uv_power::abi::numbers::{HvCall, UltracallNumber};
use uv_power::abi::tpm::{HostTpm, TpmError};
use uv_power::hypervisor::kernel::{KvmError, PowerExit, SecureGuest};

use crate::rig::*;

#[test]
fn init_abort_goes_back_to_the_guest_by_hrfid_with_the_result_in_r3() {
    let mut rig = Rig::new(vec![reflected(HvCall::H_SVM_INIT_START, &[]), aborted()]);
    assert_eq!(rig.enter(), Err(KvmError::Refused(HvCode::H_PARAMETER)));
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
    let back = rig.entered(2, false);
    assert_eq!((back.hsrr0, back.hsrr1), (0x4004, NORMAL), "after UV_ESM, without the level of the call");
    for (register, value) in back.gpr.iter().enumerate() {
        let expected = if register == 3 { HvCode::H_PARAMETER.to_register() } else { 0x100 + register as u64 };
        assert_eq!(*value, expected, "R{register}");
    }
    assert_eq!(rig.vm.vm_state(), VmState::Normal);
    assert_eq!(calls(&rig.uv), [UltracallNumber::UV_REGISTER_MEM_SLOT, UltracallNumber::UV_SVM_TERMINATE]);
}

#[test]
fn a_guest_that_asks_is_secure_before_it_runs_on() {
    let good = vec![
        reflected(HvCall::H_SVM_INIT_START, &[]),
        reflected(HvCall::H_SVM_PAGE_IN, &[0x1_0000, 0, 16]),
        reflected(HvCall::H_SVM_INIT_DONE, &[]),
        reflected(HvCall::H_CEDE, &[]),
    ];
    let mut rig = Rig::new(good);
    assert_eq!(rig.enter(), Ok(4));
    assert_eq!((rig.vm.vm_state(), rig.entries().len()), (VmState::Secure, 3));
    let again = rig.vm.enter_secure_mode(&mut rig.cpu).unwrap_err();
    assert_eq!(uv_core::Error::kind(&again), ErrorKind::WrongState);
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
    assert_eq!(rig.entered(3, true).gpr[0], HvCode::H_SUCCESS.to_register(), "H_SVM_INIT_DONE");
}

#[test]
fn an_ultravisor_that_gives_up_late_leaves_an_aborted_vm() {
    let late = vec![reflected(HvCall::H_SVM_INIT_START, &[]), reflected(HvCall::H_SVM_INIT_DONE, &[]), aborted()];
    let mut rig = Rig::new(late);
    rig.enter().unwrap();
    assert_eq!(rig.cpu.run(), Ok(Exit::EnterAborted));
    assert_eq!(rig.vm.vm_state(), VmState::Aborted);
    rig.vm.terminate().unwrap();
    assert_eq!((rig.vm.vm_state(), rig.vm.secure_guest()), (VmState::Normal, SecureGuest::empty()));
    assert!(calls(&rig.uv).contains(&UltracallNumber::UV_SVM_TERMINATE));
    assert_eq!(rig.pool.free(), rig.pool.pages());
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
    assert_eq!(rig.entered(3, false).gpr[3], HvCode::H_STATE.to_register(), "the guest is told");
}

#[test]
fn after_an_abort_answered_h_state_the_way_in_is_uv_return() {
    // H_STATE leaves secure_guest set, and nothing else decides the way in.
    let late = vec![reflected(HvCall::H_SVM_INIT_START, &[]), reflected(HvCall::H_SVM_INIT_DONE, &[]), aborted()];
    let mut rig = Rig::new(late);
    rig.enter().unwrap();
    assert_eq!(rig.cpu.run(), Ok(Exit::EnterAborted));
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
    let back = rig.entered(3, true);
    assert_eq!((back.gpr[0], back.gpr[31]), (HvCode::H_STATE.to_register(), 0x11f));
}

#[test]
fn a_wish_that_nobody_serves_is_refused() {
    let mut rig = Rig::new(vec![reflected(HvCall::H_SVM_INIT_START, &[]), aborted()]);
    assert_eq!(rig.cpu.run(), Ok(Exit::EnterSecureMode));
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
    assert_eq!(rig.entered(1, true).gpr[0], HvCode::H_AUTHORITY.to_register());
    assert_eq!(rig.entered(2, false).gpr[3], HvCode::H_PARAMETER.to_register());
    assert_eq!(rig.vm.vm_state(), VmState::Normal);
}

#[test]
fn entering_is_for_the_virtual_cpu_that_asked() {
    let mut rig = Rig::new(vec![]);
    assert_eq!(rig.vm.enter_secure_mode(&mut rig.cpu), Err(KvmError::NotAsked));
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
    assert_eq!(rig.vm.enter_secure_mode(&mut rig.cpu), Err(KvmError::NotAsked));
    let mut theirs = Rig::new(vec![reflected(HvCall::H_SVM_INIT_START, &[])]);
    assert_eq!(theirs.cpu.run(), Ok(Exit::EnterSecureMode));
    assert_eq!(rig.vm.enter_secure_mode(&mut theirs.cpu), Err(KvmError::NotAsked));
    assert!(calls(&rig.uv).is_empty() && calls(&theirs.uv).is_empty());
}

/// A TPM that answers with the command's length.
struct Tpm;

impl HostTpm for Tpm {
    fn execute(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, TpmError> {
        response[0] = u8::try_from(command.len()).map_err(|_| TpmError)?;
        Ok(1)
    }

    fn close(&mut self) {}
}

#[test]
fn tpm_calls_are_served_on_the_way_to_secure_mode() {
    let next = || -> Vec<Next> {
        vec![
            reflected(HvCall::H_SVM_INIT_START, &[]),
            reflected(HvCall::H_SVM_TPM_COMM, &[1, 0, 12, 0x1000, 4096]),
            reflected(HvCall::H_SVM_INIT_DONE, &[]),
            reflected(HvCall::H_SVM_TPM_COMM, &[2, 0, 0, 0, 0]),
        ]
    };
    for (tpm, answer, len) in [(true, HvCode::H_SUCCESS, 1), (false, HvCode::H_FUNCTION, 0)] {
        let mut rig = Rig::new(next());
        if tpm {
            rig.vm.attach_tpm(Box::new(Tpm));
        }
        rig.enter().unwrap();
        let back = rig.entered(2, true);
        assert_eq!((back.gpr[0], back.gpr[4]), (answer.to_register(), len));
    }
    // Later: served if the VM has a TPM, else the user's.
    for tpm in [true, false] {
        let mut rig = secure(vec![reflected(HvCall::H_SVM_TPM_COMM, &[2, 0, 0, 0, 0])]);
        if tpm {
            rig.vm.attach_tpm(Box::new(Tpm));
        }
        let is_user =
            matches!(rig.cpu.run(), Ok(Exit::Arch(PowerExit::Hypercall { call: HvCall::H_SVM_TPM_COMM, .. })));
        assert_eq!(is_user, !tpm);
    }
}

#[test]
fn a_transition_is_judged_by_itself() {
    // A guest that gave up once can try again; a second failure is not taken from the first.
    let start = || reflected(HvCall::H_SVM_INIT_START, &[]);
    let call: fn() -> Next = || {
        Box::new(|regs| {
            regs.gpr[3] = 0x58;
            (regs.nip, regs.srr0, regs.srr1) = (0xc00, 0x4004, NORMAL | SC_LEVEL_1);
        })
    };
    let done = || reflected(HvCall::H_SVM_INIT_DONE, &[]);
    let wait = || reflected(HvCall::H_CEDE, &[]);
    let mut rig = Rig::new(vec![start(), aborted(), call(), start(), done(), wait()]);
    assert_eq!(rig.enter(), Err(KvmError::Refused(HvCode::H_PARAMETER)));
    assert!(matches!(rig.cpu.run(), Ok(Exit::Arch(PowerExit::Hypercall { call: HvCall(0x58), .. }))));
    assert_eq!(rig.enter(), Ok(4));
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
    // Afterwards pages that are out are the user's again.
    rig.vm.host_touches(Gfn(2)).unwrap();
    rig.uv.inner().next.lock().unwrap().push_back(reflected(HvCall::H_SVM_PAGE_IN, &[0x2_0000, 0, 16]));
    assert!(matches!(rig.cpu.run(), Ok(Exit::PageMissing { gfn: Gfn(2), .. })));

    // An abort outside of a transition is not remembered.
    let mut rig = Rig::new(vec![start(), aborted(), call(), call()]);
    assert_eq!(rig.cpu.run(), Ok(Exit::EnterSecureMode));
    assert!(matches!(rig.cpu.run(), Ok(Exit::Arch(PowerExit::Hypercall { .. }))));
    rig.cpu.complete(HvCode::H_SUCCESS, &[]);
    assert_eq!(rig.vm.enter_secure_mode(&mut rig.cpu), Err(KvmError::NotAsked));

    // The error of an ultravisor that lets the guest not in goes to the user, and the VM is normal.
    let refused = || -> Next { Box::new(|regs| regs.gpr[3] = (-75_i64).cast_unsigned()) };
    let mut rig = Rig::new(vec![start(), refused()]);
    let error = rig.enter().unwrap_err();
    assert!(matches!(error, KvmError::Uv(error) if error.call == UltracallNumber::UV_RETURN));
    assert_eq!(rig.vm.secure_guest(), SecureGuest::empty());
    // One that does not end the VM leaves it where it is.
    let mut rig = Rig::new(vec![start(), refused()]);
    rig.uv.inner().codes.lock().unwrap().extend([0, 0, -4]);
    let error = rig.enter().unwrap_err();
    assert!(matches!(error, KvmError::NotEnded(error) if error.code.0 == -4), "{error}");
    assert_eq!(rig.vm.secure_guest(), SecureGuest::INIT_START);
}
