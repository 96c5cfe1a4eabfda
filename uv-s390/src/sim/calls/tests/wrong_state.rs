//! VERIFY_IMG, PREPARE_RESET and UNPIN_PAGE_SHARED in every state in which they are wrong.

use uv_sim::guest::Step;

use crate::abi::se_header::PlaintextControlFlags;
use crate::abi::uvc::{Cc, UvRc, UvRrc};
use crate::abi::uvcb::{ConvertTo, CpuState, NoData, Share, UvCommand};
use crate::sim::rig::{COMPONENT, Codes, GIB, GUEST_LEN, Guest, OK, Rig, Vcpu, diag, refused, uvc};
use crate::sim::{Generation, GuestInsn};

/// Wrong state: this library's code.
const STATE: Codes = (Cc::Error, UvRc(0x01f0), UvRrc(0));
const NO_CONF: Codes = (Cc::Error, UvRc(0x0020), UvRrc(0));
const BAD_ADDRESS: Codes = (Cc::Error, UvRc(0x01f4), UvRrc(0));
const VERIFY: UvCommand = UvCommand::VERIFY_IMG;
const UNSHARE: UvCommand = UvCommand::SET_UNSHARE_ALL;
const PREPARE: UvCommand = UvCommand::PREPARE_RESET;

fn rig() -> Rig {
    Rig::ready(Generation::Z17)
}

/// A configuration that exists in part only.
fn partial(rig: &Rig) -> u64 {
    let mut block = rig.create_block(0);
    block.conf_virt_stor_origin = (4 * GIB).into();
    assert_eq!(rig.call(&mut block).1, UvRc(0x810a));
    block.guest_handle.get()
}

/// A configuration whose image was found to be another.
fn failed(rig: &Rig) -> Guest {
    let guest = rig.guest(0);
    let (header, _) = rig.image(&[&rig.machine.host_key], PlaintextControlFlags::PCKMO);
    assert_eq!(rig.set_params(&guest, header.as_bytes()), OK);
    assert_eq!(rig.no_data(VERIFY, guest.conf), (Cc::Error, UvRc(0x0102), UvRrc(0x001a)));
    guest
}

fn is_no_handle(command: UvCommand) {
    let rig = rig();
    let guest = rig.guest(0);
    let cpu = rig.cpu(&guest, 0);
    assert_eq!([0, guest.conf ^ 1, cpu.handle].map(|handle| rig.no_data(command, handle)), [NO_CONF; 3]);
    assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CPU, cpu.handle), OK);
    assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CONF, guest.conf), OK);
    assert_eq!(rig.no_data(command, guest.conf), NO_CONF, "destroyed");
}

#[test]
fn verify_img() {
    is_no_handle(VERIFY);
    let one = rig();
    assert_eq!(one.no_data(VERIFY, partial(&one)), STATE, "partial");
    let one = rig();
    assert_eq!(one.no_data(VERIFY, failed(&one).conf), STATE, "failed");

    let one = rig();
    let guest = one.guest(0);
    let cpu = one.cpu(&guest, 0);
    let verify = || one.no_data(VERIFY, guest.conf);
    assert_eq!(verify(), STATE, "no header");
    one.unpacked(&guest, PlaintextControlFlags::PCKMO | PlaintextControlFlags::ALLOW_DUMP);
    let conf = one.machine.conf(guest.conf).unwrap();
    let unpacking = conf.measure.turn();
    assert_eq!(verify(), (Cc::Busy, UvRc(0), UvRrc(0)), "somebody unpacks");
    drop(unpacking);
    assert_eq!(verify(), OK);
    assert_eq!(verify(), STATE, "verified");
    assert_eq!(one.set_state(cpu, CpuState::OPERATING_LOAD), OK);
    assert_eq!(verify(), STATE, "loaded");
    assert_eq!(one.set_state(cpu, CpuState::STOPPED), OK);
    assert_eq!(one.no_data(UNSHARE, guest.conf), OK);
    assert_eq!(verify(), STATE, "unshared");
    assert_eq!(one.no_data(PREPARE, guest.conf), OK);
    assert_eq!(verify(), STATE, "prepared");
    assert_eq!(one.no_data(UvCommand::DUMP_INIT, guest.conf), OK);
    assert_eq!(verify(), STATE, "dumping");
}

/// A guest with two CPUs that has asked for a reset, or has not.
fn running(rig: &Rig, asked: bool) -> (Guest, Vcpu, Vcpu) {
    let ask = GuestInsn::Diag308 { subcode: 1, address: 0, ipib: alloc::vec![] };
    let (guest, first, _) = rig.booted(0, [if asked { Step::Call(ask) } else { diag(0x44, [0; 5]) }]);
    let second = rig.cpu(&guest, 1);
    assert_eq!(rig.set_state(second, CpuState::OPERATING), OK);
    assert_eq!(rig.enter(&guest, first).gr(5), if asked { 0x308 } else { 0x44 });
    (guest, first, second)
}

#[test]
fn prepare_reset_of_what_is_not_verified() {
    is_no_handle(PREPARE);
    let one = rig();
    assert_eq!(one.no_data(PREPARE, partial(&one)), STATE, "partial");
    let one = rig();
    let guest = failed(&one);
    assert_eq!([UNSHARE, PREPARE].map(|command| one.no_data(command, guest.conf)), [OK, STATE], "failed");
    let one = rig();
    let guest = one.guest(0);
    assert_eq!([UNSHARE, PREPARE].map(|command| one.no_data(command, guest.conf)), [OK, STATE], "no header");
    one.unpacked(&guest, PlaintextControlFlags::PCKMO);
    assert_eq!(one.no_data(PREPARE, guest.conf), STATE, "not verified");
}

#[test]
fn prepare_reset_before_its_time() {
    for asked in [false, true] {
        let rig = rig();
        let (guest, first, second) = running(&rig, asked);
        let prepare = || rig.no_data(PREPARE, guest.conf);
        assert_eq!(prepare(), STATE, "both run, not unshared");
        assert_eq!(rig.set_state(first, CpuState::STOPPED), OK);
        assert_eq!(prepare(), STATE, "one runs, not unshared");
        assert_eq!(rig.set_state(second, CpuState::STOPPED), OK);
        assert_eq!(prepare(), STATE, "not unshared");
        assert_eq!(rig.no_data(UNSHARE, guest.conf), OK);
        for (cpu, other) in [(first, second), (second, first)] {
            assert_eq!(rig.set_state(cpu, CpuState::OPERATING), OK);
            assert_eq!(prepare(), STATE, "unshared, one runs");
            assert_eq!(rig.set_state(other, CpuState::OPERATING), OK);
            assert_eq!(prepare(), STATE, "unshared, both run");
            assert_eq!([cpu, other].map(|cpu| rig.set_state(cpu, CpuState::STOPPED)), [OK, OK]);
        }
        let inside = rig.machine.cpu(first.handle).unwrap();
        let inside = inside.core.lock();
        assert_eq!(prepare(), (Cc::Busy, UvRc(0), UvRrc(0)), "one is inside the guest");
        drop(inside);
        assert_eq!(rig.set_state(first, CpuState::CHECK_STOP), OK);
        assert_eq!(prepare(), OK, "a check-stopped CPU does not run");
        assert_eq!(prepare(), STATE, "prepared");
        assert_eq!(rig.no_data(UNSHARE, guest.conf), OK);
        assert_eq!(prepare(), STATE, "prepared, unshared once more");
        assert_eq!(rig.no_data(UvCommand::CPU_RESET_INITIAL, first.handle), OK);
        assert_eq!(rig.set_state(first, CpuState::OPERATING_LOAD), OK);
        assert_eq!(prepare(), STATE, "loaded");
        assert_eq!(rig.set_state(first, CpuState::STOPPED), OK);
        assert_eq!(prepare(), STATE, "stopped again, the next reset has not begun");
    }
}

#[test]
fn unpin_page_shared() {
    const PAGE: u64 = 0x8000;
    let one = rig();
    let handle = partial(&one);
    assert_eq!(one.call(&mut ConvertTo::new(UvCommand::UNPIN_PAGE_SHARED, handle, PAGE)), STATE, "partial");

    let rig = rig();
    let share = |command| uvc(&Share::new(command, PAGE));
    let steps = [share(UvCommand::SET_SHARED_ACCESS), diag(0x44, [0; 5]), share(UvCommand::REMOVE_SHARED_ACCESS)];
    let (guest, cpu, _) = rig.booted(0, steps.into_iter().chain([diag(0x9c, [0; 5])]));
    let (other, at) = (rig.guest(1), guest.base + PAGE);
    let with = |conf, addr| rig.call(&mut ConvertTo::new(UvCommand::UNPIN_PAGE_SHARED, conf, addr));
    let unpin = || with(guest.conf, PAGE);
    let pin = || rig.storage(UvCommand::PIN_PAGE_SHARED, at);
    assert_eq!([0, guest.conf ^ 1, cpu.handle].map(|handle| with(handle, PAGE)), [NO_CONF; 3]);
    assert_eq!([1, PAGE + 0xfff, GUEST_LEN, u64::MAX].map(|addr| with(guest.conf, addr)), [BAD_ADDRESS; 4]);
    assert_eq!(unpin(), STATE, "never imported");
    assert_eq!(with(guest.conf, COMPONENT), STATE, "unpacked");
    assert_eq!(rig.import(&guest, PAGE), OK);
    assert_eq!(unpin(), STATE, "private");
    assert_eq!(rig.export(at), OK);
    assert_eq!(unpin(), STATE, "private, exported");
    assert_eq!(rig.import(&guest, PAGE), OK);
    assert_eq!(rig.enter(&guest, cpu).gr(5), 0x44);
    assert_eq!(unpin(), STATE, "shared, not pinned");
    assert_eq!(rig.export(at), OK);
    assert_eq!(unpin(), STATE, "shared, exported");
    assert_eq!(pin(), STATE);
    assert_eq!(rig.import(&guest, PAGE), OK);
    assert_eq!(pin(), OK);
    assert_eq!(with(other.conf, PAGE), STATE, "pinned by another guest");
    let frame = rig.machine.storage.claim(uv_core::HostAddr(at)).unwrap();
    assert_eq!(unpin(), (Cc::Busy, UvRc(0), UvRrc(0)), "somebody has the frame");
    drop(frame);
    assert_eq!([unpin(), unpin()], [OK, STATE], "once");
    assert_eq!([pin(), pin(), unpin(), unpin()], [OK, OK, OK, STATE], "pins are not counted");
    assert_eq!(rig.enter(&guest, cpu).gr(5), 0x9c);
    assert_eq!(unpin(), STATE, "private again");
}

#[test]
fn an_end_of_the_configuration_is_an_end_of_its_pins() {
    let rig = rig();
    let steps = [uvc(&Share::new(UvCommand::SET_SHARED_ACCESS, 0x8000)), diag(0x44, [0; 5])];
    let (guest, cpu, _) = rig.booted(0, steps);
    assert_eq!(rig.import(&guest, 0x8000), OK);
    assert_eq!(rig.enter(&guest, cpu).gr(5), 0x44);
    assert_eq!(rig.storage(UvCommand::PIN_PAGE_SHARED, guest.base + 0x8000), OK);
    assert_eq!(rig.call(&mut NoData::new(UvCommand::DESTROY_SEC_CPU, cpu.handle)), OK);
    assert_eq!(rig.call(&mut NoData::new(UvCommand::DESTROY_SEC_CONF, guest.conf)), OK);
    let unpin = |conf| rig.call(&mut ConvertTo::new(UvCommand::UNPIN_PAGE_SHARED, conf, 0x8000));
    assert_eq!(unpin(guest.conf), NO_CONF);
    assert_eq!(rig.storage(UvCommand::PIN_PAGE_SHARED, guest.base + 0x8000), refused(UvRc::STATE), "nobody's");
}

#[test]
fn pins_of_what_ends() {
    let rig = rig();
    let steps = [uvc(&Share::new(UvCommand::SET_SHARED_ACCESS, 0x8000)), diag(0x44, [0; 5])];
    let (guest, cpu, _) = rig.booted(0, steps);
    assert_eq!(rig.import(&guest, 0x8000), OK);
    assert_eq!(rig.enter(&guest, cpu).gr(5), 0x44);
    let pin = || rig.storage(UvCommand::PIN_PAGE_SHARED, guest.base + 0x8000);
    let conf = rig.machine.conf(guest.conf).unwrap();
    let ending = conf.close().ok();
    assert_eq!(pin(), (Cc::Busy, UvRc(0), UvRrc(0)), "a call that ends it is at work");
    drop(ending);
    assert_eq!(rig.call(&mut NoData::new(UvCommand::DESTROY_SEC_CPU, cpu.handle)), OK);
    assert_eq!(rig.call(&mut crate::abi::uvcb::DestroyFast::new(guest.conf)), OK);
    assert_eq!(pin(), STATE, "shared still, by nobody");
}
