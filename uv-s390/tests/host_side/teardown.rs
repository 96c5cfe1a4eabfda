//! Ending protection.

use uv_core::{Gfn, PageIn, SecureVm, VmState};
use uv_s390::abi::uvc::UvRc;
use uv_s390::abi::uvcb::UvCommand as C;
use uv_s390::hypervisor::kernel::HostError;
use uv_s390::sim::Generation;

use crate::rig::{Rig, rc, refuse};

#[test]
fn a_cpu_that_stays_keeps_the_configuration() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(3);
    guest.enable().unwrap();
    rig.log();
    rig.uvc.plan(C::DESTROY_SEC_CPU, [refuse(0x1f0), refuse(0x1f1)]);
    assert_eq!(rc(guest.disable().unwrap_err()), UvRc(0x1f0), "the first failure, and all CPUs tried");
    assert_eq!(rig.log(), [C::DESTROY_SEC_CPU; 3]);
    assert!(guest.is_protected());
}

#[test]
fn a_configuration_that_stays_keeps_its_storage() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    let before = rig.host.free_storage();
    guest.enable().unwrap();
    rig.uvc.plan(C::DESTROY_SEC_CONF, [refuse(0x1f0)]);
    assert_eq!(rc(guest.disable().unwrap_err()), UvRc(0x1f0));
    assert!(!guest.is_protected() && rig.host.free_storage() < before);
    guest.enable().unwrap();
}

#[test]
fn set_aside_with_the_fast_call() {
    let rig = Rig::new(Generation::Z16);
    let guest = rig.guest(2);
    let before = rig.host.free_storage();
    assert_eq!(guest.set_aside(), Err(HostError::NotProtected));
    rig.verified(&guest);
    rig.log();
    guest.set_aside().unwrap();
    let log = rig.log();
    assert_eq!(log[..3], [C::DESTROY_SEC_CPU, C::DESTROY_SEC_CPU, C::DESTROY_SEC_CONF_FAST]);
    assert_eq!((guest.vm_state(), guest.has_set_aside()), (VmState::Normal, true));
    assert_eq!(rig.host.free_storage(), before, "the storage came back at once");
    assert_eq!(rig.host.protected_count(), 1, "its pages are there still");
    assert!(guest.storage().check(uv_core::GuestAddr(0), 4 << 20).is_ok());

    // The next protected life may begin before the last one is cleaned up.
    rig.load(&guest);
    rig.verified(&guest);
    assert_eq!(guest.set_aside(), Err(HostError::SetAside));
    guest.cleanup(&mut |_| true).unwrap();
    assert_eq!(guest.cleanup(&mut |_| true), Err(HostError::SetAside));
    let first = Gfn(rig.components[0].address.get() >> 12);
    assert_eq!(guest.page_state(first).unwrap(), uv_core::PageState::Secure, "the new life is untouched");
    guest.disable().unwrap();
}

#[test]
fn set_aside_without_the_fast_call_keeps_handle_and_root() {
    let rig = Rig::new(Generation::Z15);
    let guest = rig.guest(1);
    let (before, asce) = (rig.host.free_storage(), guest.asce());
    rig.verified(&guest);
    guest.set_aside().unwrap();
    assert!(!rig.log().contains(&C::DESTROY_SEC_CONF));
    assert_ne!(guest.asce(), asce);
    assert_eq!(rig.host.protected_count(), 1);
    rig.load(&guest);
    rig.verified(&guest);
    guest.page_in(Gfn(600)).unwrap();
    guest.cleanup(&mut |_| true).unwrap();
    assert!(rig.log().contains(&C::DESTROY_SEC_CONF));
    assert_eq!(rig.host.protected_count(), 1);
    guest.disable().unwrap();
    assert_eq!((rig.host.protected_count(), rig.host.free_storage()), (0, before));
    drop(guest);
    assert_eq!((rig.host.free_storage(), rig.machine.secure_frames_in_use()), (rig.free, 0));
}

#[test]
fn an_interrupted_cleanup_is_finished_by_disable() {
    let rig = Rig::new(Generation::Z15);
    let guest = rig.guest(1);
    rig.verified(&guest);
    guest.set_aside().unwrap();
    guest.cleanup(&mut |gfn| gfn.0 < 10).unwrap();
    assert_eq!((guest.has_set_aside(), rig.host.protected_count()), (false, 1));
    rig.load(&guest);
    rig.verified(&guest);
    rig.log();
    guest.disable().unwrap();
    let destroyed = rig.log().iter().filter(|command| **command == C::DESTROY_SEC_CONF).count();
    assert_eq!((destroyed, rig.host.protected_count()), (2, 0));
}

#[test]
fn refusals_of_the_asynchronous_way() {
    let rig = Rig::new(Generation::Z17);
    let small = rig.guest_with(1, |config| config.limit = 1 << 31);
    small.enable().unwrap();
    assert!(small.asce().is_segment_type());
    assert_eq!(small.set_aside(), Err(HostError::SegmentTable));
    assert!(small.is_protected());
    small.disable().unwrap();

    let never = rig.guest_with(1, |config| config.async_destroy = false);
    never.enable().unwrap();
    assert_eq!(never.set_aside(), Err(HostError::NotInstalled));
    assert_eq!(never.cleanup(&mut |_| true), Err(HostError::NotInstalled));

    // AP queues are bound: the normal way is left.
    let guest = rig.guest(1);
    rig.verified(&guest);
    rig.uvc.plan(C::DESTROY_SEC_CONF_FAST, [refuse(0x104)]);
    assert_eq!(rc(guest.set_aside().unwrap_err()), UvRc::DESTROY_FAST_AP);
    assert!(guest.is_protected() && !guest.has_set_aside());
    guest.disable().unwrap();
    assert_eq!(guest.vm_state(), VmState::Normal);
}
