//! The way back into the guest, register by register.

use std::sync::{Arc, Mutex};
use uv_core::{Exit, GuestAddr, Vcpu};
use uv_power::abi::msr::SC_LEVEL_1;
use uv_power::abi::numbers::{HvCall, UltracallNumber};
use uv_power::abi::regs::Lpid;
use uv_power::abi::{HvCode, Msr, Regs};
use uv_power::hypervisor::kernel::{KvmError, KvmVcpu, PowerExit, SecureGuest};

use crate::rig::*;

#[test]
fn a_reflected_hypercall_goes_back_by_uv_return() {
    let mut rig = Rig::new(vec![reflected(HvCall::H_SVM_INIT_START, &[]), reflected(HvCall::H_SVM_INIT_DONE, &[])]);
    rig.enter().unwrap();
    let first = rig.entered(0, false);
    assert_eq!((first.hsrr0, first.hsrr1 & Msr::S.bits(), first.lpidr), (0x4000, 0, Lpid(3)));
    let back = rig.entered(1, true);
    assert_eq!((back.gpr[0], back.gpr[3]), (HvCode::H_SUCCESS.to_register(), UltracallNumber::UV_RETURN.0));
    assert_eq!((back.gpr[2], back.gpr[31], back.hsrr0), (SECURE | SC_LEVEL_1, COOKIE, COOKIE));
    assert_eq!(back.msr, Regs::hypervisor().msr);
    assert_eq!(rig.vm.secure_guest(), SecureGuest::INIT_START | SecureGuest::INIT_DONE);
}

#[test]
fn a_guest_that_writes_s_into_its_srr1_is_not_taken_for_a_secure_one() {
    let tick: Next = Box::new(|regs| {
        regs.gpr[7] = 77;
        regs.nip = 0x980;
        (regs.srr0, regs.srr1) = (0x1111, SECURE);
        (regs.hsrr0, regs.hsrr1) = (0x4040, NORMAL);
    });
    let mut rig = Rig::new(vec![tick]);
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
    let back = rig.entered(1, false);
    assert_eq!((back.hsrr0, back.hsrr1, back.gpr[7]), (0x4040, NORMAL, 77));
    assert_eq!((back.srr0, back.srr1), (0x1111, SECURE), "the guest's own");
}

#[test]
fn hypercalls_of_user_space_are_answered_where_the_way_back_takes_them_from() {
    let plain: Next = Box::new(|regs| {
        regs.gpr[3] = HvCall::H_CEDE.0;
        regs.nip = 0xc00;
        (regs.srr0, regs.srr1) = (0x4004, NORMAL | SC_LEVEL_1);
    });
    let mut rig =
        Rig::new(vec![plain, reflected(HvCall::H_LOGICAL_CI_LOAD, &[8, 0x9000]), reflected(HvCall(0x58), &[])]);
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted), "H_CEDE");
    rig.cpu.complete(HvCode::H_SUCCESS, &[5]);
    let Ok(Exit::Arch(PowerExit::Hypercall { call: HvCall::H_LOGICAL_CI_LOAD, args })) = rig.cpu.run() else {
        panic!("the load is user space's");
    };
    assert_eq!(args[..2], [8, 0x9000]);
    let back = rig.entered(1, false);
    assert_eq!(back.gpr[3..5], [0, 5]);
    assert_eq!(ask(&rig.vm, HvCall::H_SVM_INIT_START, [0; 3]), HvCode::H_SUCCESS);
    rig.cpu.complete(HvCode::H_SUCCESS, &[0xabcd]);
    rig.cpu.run().unwrap();
    let back = rig.entered(2, true);
    assert_eq!((back.gpr[0], back.gpr[4]), (0, 0xabcd));
    // No answer is an answer.
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
    assert_eq!(rig.entered(3, true).gpr[0], HvCode::H_FUNCTION.to_register());
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
}

#[test]
fn a_refused_uv_return_ends_the_run() {
    let refused: Next = Box::new(|regs| regs.gpr[3] = (-75_i64).cast_unsigned());
    let mut rig = Rig::new(vec![reflected(HvCall::H_SVM_INIT_START, &[]), refused]);
    let error = rig.enter().unwrap_err();
    assert!(matches!(error, KvmError::Uv(error) if error.call == UltracallNumber::UV_RETURN && error.code.0 == -75));
}

#[test]
fn a_virtual_cpu_started_in_a_secure_vm_shows_the_cookie() {
    let rig = Rig::new(vec![]);
    let mut normal = KvmVcpu::started(rig.vm.clone(), 1, GuestAddr(0x7000), 9);
    normal.run().unwrap();
    let first = rig.entered(0, false);
    assert_eq!((first.hsrr0, first.gpr[3], first.vcpu), (0x7000, 9, 1));
    for call in [HvCall::H_SVM_INIT_START, HvCall::H_SVM_INIT_DONE] {
        assert_eq!(ask(&rig.vm, call, [0; 3]), HvCode::H_SUCCESS);
    }
    let mut secure = KvmVcpu::started(rig.vm.clone(), 1, GuestAddr(0x7000), COOKIE);
    secure.run().unwrap();
    let first = rig.entered(1, true);
    assert_eq!((first.gpr[0], first.gpr[3], first.vcpu), (COOKIE, UltracallNumber::UV_RETURN.0, 1));
}

#[test]
fn the_way_in_follows_the_vm_and_not_the_interrupt() {
    // S is in no machine state, and yet the VM has begun to be secure.
    let mut rig = Rig::new(vec![interrupted(0x980, NORMAL), interrupted(0x980, NORMAL)]);
    assert_eq!(ask(&rig.vm, HvCall::H_SVM_INIT_START, [0; 3]), HvCode::H_SUCCESS);
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
    let back = [0, 1, 2].map(|index| rig.entered(index, true));
    assert_eq!(
        (back[1].hsrr0, back[1].gpr[0], back[1].gpr[2]),
        (COOKIE, 0, NORMAL),
        "R0 is the guest's R3, R2 is SRR1"
    );
    // And with S in SRR1 of a VM that is normal again.
    let mut rig = Rig::new(vec![reflected(HvCall::H_CEDE, &[]), interrupted(0x980, SECURE)]);
    rig.cpu.run().unwrap();
    rig.cpu.complete(HvCode::H_SUCCESS, &[]);
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
    assert_eq!(rig.entered(1, false).gpr[3], 0);
    rig.entered(2, false);
}

#[test]
fn a_new_virtual_cpu_begins_with_a_clean_state() {
    let rig = Rig::new(vec![]);
    let mut cpu = KvmVcpu::new(rig.vm.clone(), 6);
    assert!(Arc::ptr_eq(cpu.vm(), &rig.vm) && !cpu.takes_external());
    assert_eq!([cpu.run(), cpu.run()], [Ok(Exit::Halted), Ok(Exit::Halted)]);
    assert_eq!(rig.entries().len(), 2, "running again ends the wait");
    let first = rig.entered(0, false);
    assert_eq!((first.hsrr0, first.hsrr1), (0, (Msr::SF | Msr::ME | Msr::RI | Msr::LE).bits()));
    assert_eq!((first.gpr, first.vcpu, first.lpidr, first.msr), ([0; 32], 6, Lpid(3), Regs::hypervisor().msr));
    assert_eq!(rig.entered(1, false).gpr[3], HvCode::H_SUCCESS.to_register());
    assert_eq!(cpu.regs().nip, 0xc00);
}

#[test]
fn nine_registers_are_answered() {
    let mut rig = Rig::new(vec![Box::new(|regs| {
        regs.gpr = core::array::from_fn(|register| 0x500 + register as u64);
        regs.gpr[3] = 0x58;
        (regs.nip, regs.srr0, regs.srr1) = (0xc00, 0x4004, NORMAL | SC_LEVEL_1);
        regs.msr = Msr::ME.bits();
    })]);
    let Ok(Exit::Arch(PowerExit::Hypercall { call, args })) = rig.cpu.run() else { panic!("it is user space's") };
    assert_eq!((call, args), (HvCall(0x58), core::array::from_fn(|index| 0x504 + index as u64)));
    rig.cpu.complete(HvCode::H_STATE, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    // An answer counts once.
    rig.cpu.complete(HvCode::H_SUCCESS, &[11]);
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
    let back = rig.entered(1, false);
    assert_eq!(back.msr, Regs::hypervisor().msr);
    assert_eq!(back.gpr[3..14], [HvCode::H_STATE.to_register(), 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x50d]);
}

#[test]
fn a_running_virtual_cpu_is_counted() {
    // Two virtual CPUs of one VM: it runs until both have stopped.
    let rig = Rig::new(vec![]);
    assert_eq!(ask(&rig.vm, HvCall::H_SVM_INIT_START, [0; 3]), HvCode::H_SUCCESS);
    let (inner, vm) = (Arc::new(Mutex::new(Vec::new())), rig.vm.clone());
    let seen = inner.clone();
    let mut second = KvmVcpu::new(rig.vm.clone(), 1);
    let outer: Next = Box::new(move |regs| {
        second.run().unwrap();
        seen.lock().unwrap().push(vm.svm_off());
        (regs.nip, regs.gpr[3]) = (0xc00, HvCall::H_CEDE.0);
    });
    rig.uv.inner().next.lock().unwrap().push_back(outer);
    let Rig { mut cpu, vm, .. } = rig;
    assert_eq!(cpu.run(), Ok(Exit::Halted));
    assert_eq!(*inner.lock().unwrap(), [Err(KvmError::Running)]);
    assert_eq!(vm.svm_off(), Ok(()));
}
