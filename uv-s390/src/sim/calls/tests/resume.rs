//! Calls that are done part by part: cc 3, resumption by the same control block, and what makes it impossible.

use uv_core::{GuestAddr, HostAddr, NormalMemory};
use uv_sim::guest::Step;

use super::random::check;
use crate::abi::uvc::{Cc, UvRc, UvRrc};
use crate::abi::uvcb::{CpuState, DestroyFast, DumpComplete, DumpStorageState, Share, UvCommand};
use crate::sim::resume::{DESTROY_SLICE, UNSHARE_SLICE};
use crate::sim::rig::{Codes, GUEST_LEN, Guest, OK, Rig, Vcpu, diag, refused, uvc};
use crate::sim::{Generation, GuestInsn};

/// cc 3; the block keeps the zeros it came with.
const PARTIAL: Codes = (Cc::Partial, UvRc(0), UvRrc(0));
/// Host memory for dump areas.
const AREA: u64 = 0x50_0000;

/// A guest that has shared so many pages, then waits, and is stopped.
fn sharing(rig: &Rig, pages: usize) -> (Guest, Vcpu) {
    let first = 0x10;
    let shares = (first..first + pages as u64)
        .map(|page| page << 12)
        .flat_map(|at| [Step::store(GuestAddr(at), b"open"), uvc(&Share::new(UvCommand::SET_SHARED_ACCESS, at))]);
    let (guest, cpu, _) = rig.booted(0, shares.chain([Step::Call(GuestInsn::Wait)]));
    rig.serve(&guest, cpu);
    assert_eq!(rig.machine.page_counts(guest.conf).unwrap().shared, pages as u64);
    assert_eq!(rig.set_state(cpu, CpuState::STOPPED), OK);
    (guest, cpu)
}

#[test]
fn unshare_all_goes_on_where_it_stopped() {
    let rig = Rig::ready(Generation::Z17);
    let (guest, _) = sharing(&rig, 2 * UNSHARE_SLICE + 1);
    let unshare = || rig.no_data(UvCommand::SET_UNSHARE_ALL, guest.conf);
    let shared = || usize::try_from(rig.machine.page_counts(guest.conf).unwrap().shared).unwrap();
    assert_eq!((unshare(), shared()), (PARTIAL, UNSHARE_SLICE + 1));
    let prepare = || rig.no_data(UvCommand::PREPARE_RESET, guest.conf);
    assert_eq!(prepare(), refused(UvRc::STATE), "half is not done");
    assert_eq!((unshare(), shared()), (PARTIAL, 1));
    assert_eq!((unshare(), shared()), (OK, 0));
    check(&rig);
    assert_eq!(prepare(), OK);
}

#[test]
fn a_cpu_that_was_started_in_between_leaves_nothing_to_resume() {
    let rig = Rig::ready(Generation::Z17);
    let (guest, cpu) = sharing(&rig, UNSHARE_SLICE + 1);
    let unshare = || rig.no_data(UvCommand::SET_UNSHARE_ALL, guest.conf);
    assert_eq!(unshare(), PARTIAL);
    assert_eq!(rig.set_state(cpu, CpuState::STOPPED), OK, "stopped already: nothing changes");
    assert_eq!(rig.set_state(cpu, CpuState::OPERATING), OK);
    assert_eq!(rig.set_state(cpu, CpuState::STOPPED), OK);
    assert_eq!(unshare(), refused(UvRc::NO_RESUME));
    assert_eq!(unshare(), OK, "begun anew, it does the rest");
    assert_eq!(rig.machine.page_counts(guest.conf).unwrap().shared, 0);
}

#[test]
fn a_page_that_is_shared_before_the_place_where_unshare_all_stopped_is_done_too() {
    let rig = Rig::ready(Generation::Z17);
    let shared = |page: u64| uvc(&Share::new(UvCommand::SET_SHARED_ACCESS, page << 12));
    let pages = (0x10..=0x10 + UNSHARE_SLICE as u64).map(shared);
    let stop = || diag(0x44, [0; 5]);
    let (guest, cpu, _) = rig.booted(0, pages.chain([stop(), shared(8), stop()]));
    let unshare = || rig.no_data(UvCommand::SET_UNSHARE_ALL, guest.conf);
    let left = || usize::try_from(rig.machine.page_counts(guest.conf).unwrap().shared).unwrap();
    rig.serve(&guest, cpu);
    assert_eq!(rig.set_state(cpu, CpuState::STOPPED), OK);
    assert_eq!((unshare(), left()), (PARTIAL, 1));
    assert_eq!(rig.set_state(cpu, CpuState::OPERATING), OK);
    rig.serve(&guest, cpu);
    assert_eq!((rig.set_state(cpu, CpuState::STOPPED), left()), (OK, 2));
    assert_eq!(unshare(), refused(UvRc::NO_RESUME));
    assert_eq!((unshare(), left()), (OK, 0));
    check(&rig);
}

#[test]
fn the_rest_of_a_dump_that_is_over_cannot_be_told() {
    let rig = Rig::ready(Generation::Z17);
    let (guest, cpu, _) = rig.booted(0, [Step::store(GuestAddr(0x8000), b"private")]);
    rig.serve(&guest, cpu);
    let storage = || rig.call(&mut DumpStorageState::new(guest.conf, AREA, 0));
    assert_eq!(rig.no_data(UvCommand::DUMP_INIT, guest.conf), OK);
    let held = rig.machine.storage.claim(HostAddr(guest.base + 0x8000)).ok().unwrap();
    assert_eq!([storage(), storage()], [PARTIAL; 2], "another call holds a page");
    assert_eq!(rig.call(&mut DumpComplete::new(guest.conf, AREA)), OK);
    drop(held);
    assert_eq!(rig.no_data(UvCommand::DUMP_INIT, guest.conf), OK);
    assert_eq!(storage(), refused(UvRc::NO_RESUME));
    assert_eq!(storage(), OK);
}

#[test]
fn a_configuration_ends_part_by_part() {
    let rig = Rig::ready(Generation::Z17);
    let guest = rig.guest(0);
    let pages = GUEST_LEN >> 12;
    for page in 0..pages {
        rig.host.write(HostAddr(guest.base + (page << 12)), b"host").unwrap();
        assert_eq!(rig.import(&guest, page << 12), OK);
    }
    let destroy = || rig.no_data(UvCommand::DESTROY_SEC_CONF, guest.conf);
    let closed = || (0..pages).filter(|page| rig.is_closed(guest.base + (page << 12))).count();
    let all = closed();
    assert_eq!(all as u64, pages);
    assert_eq!((destroy(), closed()), (PARTIAL, all - DESTROY_SLICE));

    let state = refused(UvRc::STATE);
    assert_eq!(rig.import(&guest, 0), state);
    assert_eq!(rig.no_data(UvCommand::VERIFY_IMG, guest.conf), state);
    assert_eq!(rig.call(&mut DestroyFast::new(guest.conf)), state);
    assert_eq!(rig.call(&mut rig.cpu_block(&guest, 0)), state);
    let last = guest.base + GUEST_LEN - 0x1000;
    assert_eq!(rig.storage(UvCommand::DESTR_SEC_STOR, last), OK, "a frame can be had earlier");
    assert_eq!(closed(), all - DESTROY_SLICE - 1);
    assert!(rig.is_closed(guest.create.conf_base_stor_origin.get()), "what was donated comes last");

    assert_eq!((destroy(), closed()), (OK, 0));
    assert_eq!(destroy(), refused(UvRc::INVALID_CONF_HANDLE));
    assert!(!rig.is_closed(guest.create.conf_base_stor_origin.get()));
    let mut page = [1; 4096];
    rig.host.read(HostAddr(last), &mut page).unwrap();
    assert_eq!(page, [0; 4096]);
    check(&rig);
    rig.guest(0);
}
