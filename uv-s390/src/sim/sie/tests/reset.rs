use uv_core::GuestAddr;
use uv_sim::guest::Step;

use crate::abi::sie::{InterceptionCode, Validity};
use crate::abi::uvc::UvRc;
use crate::abi::uvcb::{CpuState, UvCommand};
use crate::sim::rig::{OK, Rig, refused};
use crate::sim::{Generation, GuestInsn};

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
        assert_eq!((sd.interception(), sd.gr(5), sd.gr(0)), (InterceptionCode::PV_NOTIFICATION, 0x9c, 42));
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
