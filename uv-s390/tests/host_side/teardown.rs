//! Ending protection.

use crate::rig::{Rig, Spoil, rc, refuse};
use uv_core::{Gfn, PageIn, SecureVm, VmState};
use uv_s390::abi::uvc::UvRc;
use uv_s390::abi::uvcb::UvCommand as C;
use uv_s390::hypervisor::kernel::{Cleanup, HostError};
use uv_s390::sim::Generation;

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
fn a_configuration_that_stays_keeps_its_handle_and_the_vm_protected() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    let (before, asce) = (rig.host.free_storage(), guest.asce());
    rig.verified(&guest);
    rig.uvc.plan(C::DESTROY_SEC_CONF, [refuse(0x1f0), refuse(0x1f1)]);
    rig.log();
    assert_eq!(rc(guest.disable().unwrap_err()), UvRc(0x1f0));
    let log = rig.log();
    assert_eq!(log[..2], [C::DESTROY_SEC_CPU, C::DESTROY_SEC_CONF]);
    assert_eq!(log.len(), 2 + 1024, "the pages are destroyed anyway");
    assert!(guest.is_protected() && !guest.is_cpu_protected(0) && rig.host.free_storage() < before);
    assert_eq!(rig.host.protected_count(), 1);
    let second = guest.asce();
    assert_ne!(second, asce, "the old ASCE still belongs to the configuration");
    assert_eq!(guest.enable(), Err(HostError::Protected));

    assert_eq!(rc(guest.disable().unwrap_err()), UvRc(0x1f1));
    assert_eq!(guest.asce(), second, "one new root is enough");
    assert_eq!(rig.log()[..1], [C::DESTROY_SEC_CONF], "there is no secure CPU any more");
    guest.disable().unwrap();
    assert!(!guest.is_protected());
    assert_eq!((rig.host.protected_count(), rig.host.free_storage()), (0, before), "nothing is lost after all");
    assert_eq!(rig.attached(), [second.0], "one root is left");
    rig.load(&guest);
    rig.verified(&guest);
    assert_eq!(guest.unpacked_pages() << 12, rig.components.iter().map(|part| part.length.get()).sum::<u64>());
    drop(guest);
    assert_eq!((rig.host.free_storage(), rig.machine.secure_frames_in_use()), (rig.free, 0));
    assert_eq!(rig.attached(), [0_u64; 0]);
}

#[test]
fn what_an_undone_enable_leaves_is_ended_by_disable() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(2);
    let before = rig.host.free_storage();
    rig.uvc.plan(C::CREATE_SEC_CPU, [Spoil::Pass, refuse(0x105)]);
    rig.uvc.plan(C::DESTROY_SEC_CONF, [refuse(0x1f0)]);
    assert_eq!(rc(guest.enable().unwrap_err()), UvRc::CPU_STORAGE, "the first failure");
    assert!(guest.is_protected() && !guest.is_cpu_protected(0) && !guest.is_cpu_protected(1));
    assert_eq!(guest.enable(), Err(HostError::Protected));
    guest.disable().unwrap();
    assert_eq!((rig.host.free_storage(), guest.is_protected()), (before, false));
    guest.enable().unwrap();
}

#[test]
fn set_aside_after_a_refused_destroy_keeps_the_root_of_the_configuration() {
    let rig = Rig::new(Generation::Z15);
    let guest = rig.guest(1);
    let before = rig.host.free_storage();
    rig.verified(&guest);
    rig.uvc.plan(C::DESTROY_SEC_CONF, [refuse(0x1f0)]);
    guest.disable().unwrap_err();
    guest.set_aside().unwrap();
    assert_eq!(guest.cleanup(&mut |_| true), Ok(Cleanup::Destroyed));
    assert_eq!((rig.host.free_storage(), rig.host.protected_count()), (before, 0));
}

#[test]
fn leftovers_end_newest_first() {
    let rig = Rig::new(Generation::Z15);
    let guest = rig.guest(1);
    // Three lives, the first two interrupted in their cleanup, the third set aside.
    for life in 0..3 {
        rig.load(&guest);
        rig.verified(&guest);
        guest.set_aside().unwrap();
        if life < 2 {
            assert_eq!(guest.cleanup(&mut |_| false), Ok(Cleanup::Queued));
        }
    }
    rig.load(&guest);
    rig.verified(&guest);
    let handles = rig.uvc.handles(C::CREATE_SEC_CONF);
    assert_eq!(handles.len(), 4);
    // The second destroy is that of the newest leftover; its refusal is told.
    rig.uvc.plan(C::DESTROY_SEC_CONF, [Spoil::Pass, refuse(0x1f2), refuse(0x1f3)]);
    assert_eq!(rc(guest.disable().unwrap_err()), UvRc(0x1f2));
    let newest_first: Vec<_> = handles.into_iter().rev().collect();
    assert_eq!(rig.uvc.handles(C::DESTROY_SEC_CONF), newest_first);
    assert!(!guest.is_protected(), "the configuration of now is gone");
}

#[test]
fn a_process_that_ends_tries_the_fast_way_only_without_cpus() {
    for (refused, fast) in [(false, 1), (true, 0)] {
        let rig = Rig::new(Generation::Z17);
        let guest = rig.guest(1);
        let (ordinary, asce) = (rig.host.free_storage(), guest.asce());
        rig.verified(&guest);
        if refused {
            rig.uvc.plan(C::DESTROY_SEC_CPU, [refuse(0x1f0)]);
        }
        rig.log();
        drop(guest);
        let log = rig.log();
        let count = |wanted| log.iter().filter(|command| **command == wanted).count();
        assert_eq!((count(C::DESTROY_SEC_CONF_FAST), count(C::DESTROY_SEC_CONF)), (fast, 1 - fast));
        assert_eq!(rig.host.protected_count(), u64::from(refused), "refused as well, since a CPU is left");
        if refused {
            assert_eq!(log.last(), Some(&C::DESTROY_SEC_CONF), "after the pages");
            // What the Ultravisor may still use stays taken, the tables that it knows among it.
            assert!(rig.host.free_storage() < ordinary);
            assert!(rig.attached().contains(&asce.0));
        } else {
            assert_eq!((rig.host.free_storage(), rig.attached()), (rig.free, vec![]));
        }
    }
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
    assert_eq!(rig.attached(), [guest.asce().0]);
    assert!(guest.storage().check(uv_core::GuestAddr(0), 4 << 20).is_ok());

    // The next protected life may begin before the last one is cleaned up.
    rig.load(&guest);
    rig.verified(&guest);
    assert_eq!(guest.set_aside(), Err(HostError::SetAside));
    assert_eq!(guest.cleanup(&mut |_| true), Ok(Cleanup::Fast));
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
    assert_eq!(guest.cleanup(&mut |gfn| gfn.0 < 10), Ok(Cleanup::Queued));
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
