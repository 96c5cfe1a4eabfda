use crate::abi::sie::{InjectionControl, InterceptionCode, Validity};
use crate::abi::uvc::UvRc;
use crate::abi::uvcb::{CpuState, UvCommand};
use crate::sim::rig::{Guest, OK, Rig, Vcpu, diag, refused};
use crate::sim::{Generation, GuestInsn};
use uv_core::GuestAddr;
use uv_sim::guest::Step;

#[test]
fn every_step_of_a_reset_is_needed() {
    for (subcode, reset) in [(0, UvCommand::CPU_RESET_CLEAR), (1, UvCommand::CPU_RESET_INITIAL)] {
        let rig = Rig::ready(Generation::Z17);
        let short = crate::abi::psw::Psw::at(0x6000).short().unwrap().to_be_bytes();
        let ask = Step::Call(GuestInsn::Diag308 { subcode, address: 0, ipib: alloc::vec![] });
        let (guest, cpu, _) = rig.booted(0, [Step::store(GuestAddr(0), &short), ask]);
        let other = rig.cpu(&guest, 1);
        assert_eq!(rig.set_state(other, CpuState::OPERATING), OK);
        let sd = rig.enter(&guest, cpu);
        assert_eq!((sd.interception(), sd.gr(5), sd.gr(2)), (InterceptionCode::PV_NOTIFICATION, 0x308, subcode));
        let state = || rig.enter(&guest, cpu).validity();
        assert_eq!(state(), Some(Validity::CONF_STATE));
        assert_eq!(rig.set_state(cpu, CpuState::STOPPED), OK);
        assert_eq!(rig.no_data(UvCommand::SET_UNSHARE_ALL, guest.conf), refused(UvRc::STATE), "the other runs");
        assert_eq!(rig.set_state(other, CpuState::STOPPED), OK);
        assert_eq!(state(), Some(Validity::CONF_STATE));
        assert_eq!(rig.no_data(UvCommand::PREPARE_RESET, guest.conf), refused(UvRc::STATE), "unshare comes first");
        assert_eq!(rig.no_data(UvCommand::SET_UNSHARE_ALL, guest.conf), OK);
        assert_eq!(state(), Some(Validity::CONF_STATE));
        assert_eq!(rig.set_state(cpu, CpuState::OPERATING_LOAD), refused(UvRc::STATE));
        assert_eq!(rig.no_data(UvCommand::PREPARE_RESET, guest.conf), OK);
        assert_eq!(state(), Some(Validity::CONF_STATE));
        assert_eq!(rig.no_data(reset, cpu.handle), OK);
        assert!(state().is_some_and(Validity::is_ultravisor));
        assert_eq!(rig.set_state(cpu, CpuState::OPERATING_LOAD), OK);
        let sd = rig.enter(&guest, cpu);
        assert_eq!((sd.interception(), sd.gr(5), sd.gr(0)), (InterceptionCode::PV_NOTIFICATION, 0x9c, 0x6000));
        assert_eq!(rig.set_state(other, CpuState::OPERATING), OK);
        assert_eq!(rig.enter(&guest, other).validity(), Some(Validity::CPU_STATE), "the other needs its reset");
        assert_eq!(rig.set_state(other, CpuState::STOPPED), OK);
        assert_eq!(rig.no_data(reset, other.handle), OK);
        assert_eq!(rig.set_state(other, CpuState::OPERATING), OK);
        assert_eq!(rig.icpt(&guest, other), InterceptionCode::WAIT);
    }
}

#[test]
fn a_weaker_reset_than_asked_is_not_enough() {
    let rig = Rig::ready(Generation::Z17);
    let ask = Step::Call(GuestInsn::Diag308 { subcode: 0, address: 0, ipib: alloc::vec![] });
    let (guest, cpu, _) = rig.booted(0, [ask]);
    assert_eq!(rig.icpt(&guest, cpu), InterceptionCode::PV_NOTIFICATION);
    assert_eq!(rig.no_data(UvCommand::CPU_RESET, cpu.handle), refused(UvRc::STATE), "not stopped");
    assert_eq!(rig.set_state(cpu, CpuState::STOPPED), OK);
    assert_eq!(rig.no_data(UvCommand::SET_UNSHARE_ALL, guest.conf), OK);
    assert_eq!(rig.no_data(UvCommand::PREPARE_RESET, guest.conf), OK);
    assert_eq!(rig.no_data(UvCommand::CPU_RESET_INITIAL, cpu.handle), OK);
    assert_eq!(rig.set_state(cpu, CpuState::OPERATING_LOAD), OK);
    assert_eq!(rig.enter(&guest, cpu).validity(), Some(Validity::CPU_STATE));
    assert_eq!(rig.set_state(cpu, CpuState::STOPPED), OK);
    assert_eq!(rig.no_data(UvCommand::CPU_RESET_CLEAR, cpu.handle), OK);
    assert_eq!(rig.set_state(cpu, CpuState::OPERATING_LOAD), refused(UvRc::STATE), "loaded already");
}

#[test]
fn a_bad_psw_at_zero_is_a_loop() {
    let rig = Rig::ready(Generation::Z17);
    let ask = Step::Call(GuestInsn::Diag308 { subcode: 1, address: 0, ipib: alloc::vec![] });
    let (guest, cpu, _) = rig.booted(0, [ask]);
    assert_eq!(rig.icpt(&guest, cpu), InterceptionCode::PV_NOTIFICATION);
    assert_eq!(rig.set_state(cpu, CpuState::STOPPED), OK);
    assert_eq!(rig.no_data(UvCommand::SET_UNSHARE_ALL, guest.conf), OK);
    assert_eq!(rig.no_data(UvCommand::PREPARE_RESET, guest.conf), OK);
    assert_eq!(rig.no_data(UvCommand::CPU_RESET_INITIAL, cpu.handle), OK);
    assert_eq!(rig.set_state(cpu, CpuState::OPERATING_LOAD), OK);
    assert_eq!(rig.icpt(&guest, cpu), InterceptionCode::PROGRAM);
}

/// Two CPUs, the first of which has asked for a reset that does not clear; both are stopped, and PREPARE_RESET is done. The
/// second one was stopped with all its masks open.
fn prepared(rig: &Rig) -> (Guest, Vcpu, Vcpu) {
    let short = crate::abi::psw::Psw::at(0x6000).short().unwrap().to_be_bytes();
    let ask = Step::Call(GuestInsn::Diag308 { subcode: 1, address: 0, ipib: alloc::vec![] });
    let (guest, first, _) = rig.booted(0, [Step::store(GuestAddr(0), &short), ask]);
    let second = rig.cpu(&guest, 1);
    let open = [GuestInsn::SetMask { mask: u64::MAX }, GuestInsn::SetCr { number: 0, value: 0x800 }].map(Step::Call);
    rig.script(second, open.into_iter().chain([diag(0x44, [0; 5]), Step::Call(GuestInsn::Wait)]));
    assert_eq!(rig.set_state(second, CpuState::OPERATING), OK);
    rig.change(second, |sd| sd.iictl = InjectionControl::RESTART.0);
    assert_eq!(rig.enter(&guest, second).gr(5), 0x44);
    assert_eq!(rig.icpt(&guest, first), InterceptionCode::PV_NOTIFICATION);
    assert_eq!([first, second].map(|cpu| rig.set_state(cpu, CpuState::STOPPED)), [OK; 2]);
    for command in [UvCommand::SET_UNSHARE_ALL, UvCommand::PREPARE_RESET] {
        assert_eq!(rig.no_data(command, guest.conf), OK);
    }
    (guest, first, second)
}

#[test]
fn the_cpu_that_asked_needs_an_initial_reset_and_the_others_a_normal_one() {
    let rig = Rig::ready(Generation::Z17);
    let (guest, first, second) = prepared(&rig);
    assert_eq!([first, second].map(|cpu| rig.no_data(UvCommand::CPU_RESET, cpu.handle)), [OK; 2]);
    assert_eq!(rig.set_state(first, CpuState::OPERATING_LOAD), OK);
    assert_eq!(rig.enter(&guest, first).validity(), Some(Validity::CPU_STATE), "it asked");
    assert_eq!(rig.set_state(second, CpuState::OPERATING), OK);
    assert_eq!(rig.icpt(&guest, second), InterceptionCode::WAIT);
    assert_eq!(rig.set_state(first, CpuState::STOPPED), OK);
    assert_eq!(rig.no_data(UvCommand::CPU_RESET_INITIAL, first.handle), OK);
    assert_eq!(rig.set_state(first, CpuState::OPERATING), OK);
    assert_eq!(rig.icpt(&guest, first), InterceptionCode::WAIT, "the reset took the load away");
}

#[test]
fn nothing_is_injected_into_a_cpu_that_loads() {
    let rig = Rig::ready(Generation::Z17);
    let (guest, _, second) = prepared(&rig);
    // A normal reset leaves the PSW and its masks.
    assert_eq!(rig.no_data(UvCommand::CPU_RESET, second.handle), OK);
    assert_eq!(rig.set_state(second, CpuState::OPERATING_LOAD), OK);
    rig.change(second, |sd| {
        sd.iictl = InjectionControl::EXTERNAL.0;
        sd.ext_code = 0x1004.into();
    });
    assert_eq!(rig.enter(&guest, second).validity(), Some(Validity::INJECTION));
    rig.change(second, |sd| sd.iictl = 0);
    assert_eq!(rig.enter(&guest, second).gr(0), 0x6000, "the PSW at 0 is loaded");
}

#[test]
fn unshare_all_before_the_first_load_begins_a_reset() {
    let rig = Rig::ready(Generation::Z17);
    let guest = rig.guest(0);
    let cpu = rig.cpu(&guest, 0);
    rig.verified(&guest);
    let load = || rig.set_state(cpu, CpuState::OPERATING_LOAD);
    assert_eq!(rig.no_data(UvCommand::SET_UNSHARE_ALL, guest.conf), OK);
    assert_eq!(load(), refused(UvRc::STATE), "half a reset");
    assert_eq!(rig.no_data(UvCommand::PREPARE_RESET, guest.conf), OK);
    assert_eq!(load(), OK);
    assert_eq!([rig.import(&guest, 0), rig.import(&guest, 0x1000)], [OK; 2]);
    assert_eq!(rig.enter(&guest, cpu).validity(), Some(Validity::CPU_STATE), "nobody asked: a clear reset is due");
}

#[test]
fn a_reset_that_is_over_leaves_nothing_to_the_next() {
    let rig = Rig::ready(Generation::Z17);
    let (guest, first, second) = prepared(&rig);
    let conf = rig.machine.conf(guest.conf).unwrap();
    assert!(conf.service_masked.load(core::sync::atomic::Ordering::Relaxed));
    assert_eq!(rig.no_data(UvCommand::CPU_RESET_INITIAL, first.handle), OK);
    assert_eq!(rig.no_data(UvCommand::CPU_RESET, second.handle), OK);
    assert_eq!(rig.set_state(first, CpuState::OPERATING_LOAD), OK);
    assert_eq!(rig.enter(&guest, first).gr(0), 0x6000);
    conf.service_masked.store(false, core::sync::atomic::Ordering::Relaxed);
    assert_eq!(rig.set_state(first, CpuState::STOPPED), OK);
    for command in [UvCommand::SET_UNSHARE_ALL, UvCommand::PREPARE_RESET] {
        assert_eq!(rig.no_data(command, guest.conf), OK);
    }
    assert!(!conf.service_masked.load(core::sync::atomic::Ordering::Relaxed), "a reset leaves the mask as it was");
    for cpu in [first, second] {
        assert_eq!(rig.no_data(UvCommand::CPU_RESET_INITIAL, cpu.handle), OK);
        assert!(
            rig.machine.cpu(cpu.handle).unwrap().core.lock().due.is_some(),
            "nobody asked this time: a clear reset"
        );
    }
}
