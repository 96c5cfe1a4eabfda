//! 1 MiB frames.

use std::sync::Arc;

use uv_core::{ArgumentError, Exit, Gfn, GuestAddr, MemSlot, PageOut, PageState, SecureVm, SlotId};
use uv_s390::abi::uvc::UvRc;
use uv_s390::abi::uvcb::UvCommand as C;
use uv_s390::hypervisor::kernel::{HostError, MpState, S390Exit, S390Vcpu, Vm};
use uv_s390::sim::Generation;
use uv_sim::guest::Step;

use crate::ordinary::{diag, programs};
use crate::rig::{BUSY, Rig, rc, refuse};

const MIB: u64 = 1 << 20;

/// A guest that runs, and touches each of its four MiBs again and again.
fn running(rig: &Rig) -> (Arc<Vm>, S390Vcpu) {
    let guest = rig.guest(1);
    let touch = || {
        let touches = (0..4).map(|mib| Step::load(GuestAddr(mib * MIB + 0x7_3000), 1));
        touches.chain([diag(0x44, [0; 5])]).collect::<Vec<_>>()
    };
    programs(rig, &guest, 0, vec![(0..8).flat_map(|_| touch()).collect()]);
    rig.verified(&guest);
    guest.set_mp_state(0, MpState::Load).expect("loads");
    guest.set_mp_state(0, MpState::Operating).expect("operates");
    let cpu = guest.vcpu(0).expect("a CPU");
    (guest, cpu)
}

fn yields(cpu: &mut S390Vcpu) {
    let exit = cpu.run_served();
    assert!(matches!(exit, Ok(Exit::Arch(S390Exit::Yield(_)))), "{exit:?}");
}

#[test]
fn a_guest_runs_on_large_frames() {
    let rig = Rig::new(Generation::Z17);
    let (guest, mut cpu) = running(&rig);
    rig.log();
    guest.merge(2).unwrap();
    let log = rig.log();
    assert_eq!(log.iter().filter(|command| **command == C::VERIFY_LARGE_FRAME).count(), 1);
    assert_eq!(log.last(), Some(&C::VERIFY_LARGE_FRAME), "once all pages are in");
    assert!(guest.is_merged(2) && !guest.is_merged(1) && !guest.is_merged(3));
    yields(&mut cpu);
    assert!(guest.is_merged(2), "nothing came between");
    guest.merge(2).unwrap();

    // One page goes: the guest touches another one, and goes on page by page.
    guest.page_out(Gfn(0x2ff)).unwrap();
    yields(&mut cpu);
    assert!(!guest.is_merged(2));
    assert_eq!(guest.page_state(Gfn(0x2ff)), Ok(PageState::Sealed), "only what is touched comes back");
    guest.merge(2).unwrap();
    yields(&mut cpu);
    assert_eq!((guest.is_merged(2), guest.page_state(Gfn(0x2ff))), (true, Ok(PageState::Secure)));
    // Memory pressure takes one page out of the tables: no large entry is left.
    guest.unmap(Gfn(0x200));
    assert!(!guest.is_merged(2));
    yields(&mut cpu);
    guest.disable().unwrap();
    assert_eq!(rig.machine.secure_frames_in_use(), 0);
}

#[test]
fn the_prefix_area_may_be_in_one() {
    let rig = Rig::new(Generation::Z17);
    let (guest, mut cpu) = running(&rig);
    guest.merge(0).unwrap();
    yields(&mut cpu);
    assert!(guest.is_merged(0));
    for page in [0, 1, 0xf0] {
        guest.merge(0).unwrap();
        guest.page_out(Gfn(page)).unwrap();
        yields(&mut cpu);
        assert!(!guest.is_merged(0), "interception 112 ends it");
    }
    guest.set_aside().unwrap();
    assert!(!guest.is_merged(0));
}

#[test]
fn what_cannot_be_merged() {
    let rig = Rig::new(Generation::Z16);
    let guest = rig.guest(1);
    assert_eq!(guest.merge(0), Err(HostError::NotProtected));
    guest.enable().unwrap();
    assert_eq!(guest.merge(0), Err(HostError::NotInstalled), "z16 has no large frames");

    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest_with(1, |config| {
        let host = uv_core::HostAddr((64 << 20) + 0x1000);
        let slot = MemSlot { first: Gfn(0x400), pages: 256, host };
        config.slots.insert(SlotId(1), slot).expect("behind the first");
    });
    guest.enable().unwrap();
    assert_eq!(guest.merge(4), Err(ArgumentError::Unaligned((64 << 20) + 0x1000).into()));
    assert_eq!(guest.merge(5), Err(ArgumentError::NoSlot(Gfn(0x500)).into()));
    assert_eq!(guest.merge(u64::MAX), Err(ArgumentError::Wraps.into()));
    rig.uvc.plan(C::VERIFY_LARGE_FRAME, [BUSY, refuse(0x106)]);
    assert_eq!(rc(guest.merge(1).unwrap_err()), UvRc::LARGE_INCOMPLETE);
    assert!(!guest.is_merged(1), "mapped page by page again");
    guest.merge(1).unwrap();
}
