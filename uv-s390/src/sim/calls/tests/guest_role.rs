//! UV calls of a guest whose CPU somebody else emulates, beside a host.

use crate::abi::uvc::{Block, Cc, PgmCode, UvRc};
use crate::abi::uvcb::{ConvertFrom, ConvertTo, QueryInfo, Share, UvCommand};
use crate::sim::rig::{COMPONENT, Guest, OK, Rig};
use crate::sim::{Generation, GuestAnswer, Uvc};
use alloc::sync::Arc;
use uv_core::GuestAddr;

use crate::sim::view::GuestView;

const BLOCK: u64 = COMPONENT + 0xff8;
const DONE: Option<GuestAnswer> = Some(GuestAnswer::Done(Cc::Done));

/// Puts a block into the guest's storage, as its CPU does.
fn put(rig: &Rig, guest: &Guest, block: &impl Block) {
    let conf = rig.machine.conf(guest.conf).unwrap();
    GuestView::new(&rig.machine, &conf).write(GuestAddr(BLOCK), block.as_bytes()).unwrap();
}

fn get<B: Block>(rig: &Rig, guest: &Guest) -> B {
    let conf = rig.machine.conf(guest.conf).unwrap();
    let mut bytes = alloc::vec![0; size_of::<B>()];
    GuestView::new(&rig.machine, &conf).read(GuestAddr(BLOCK), &mut bytes).unwrap();
    B::read_from_bytes(&bytes).unwrap()
}

fn issue(rig: &Rig, guest: &Guest) -> Option<GuestAnswer> {
    rig.machine.guest_uv_call(guest.conf, Uvc::default(), GuestAddr(BLOCK))
}

fn host(code: PgmCode, answer: Option<GuestAnswer>) -> u64 {
    match answer {
        Some(GuestAnswer::Host(interruption)) if interruption.code == code => interruption.teid.unwrap().page(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_block_in_secure_pages_is_answered_there() {
    let rig = Rig::ready(Generation::Z17);
    let guest = rig.guest(0);
    assert_eq!(issue(&rig, &guest), None, "no image");
    rig.verified(&guest);
    assert_eq!(rig.machine.guest_uv_call(guest.conf ^ 2, Uvc::default(), GuestAddr(BLOCK)), None);
    put(&rig, &guest, &QueryInfo::new());
    assert_eq!(issue(&rig, &guest), DONE);
    let query: QueryInfo = get(&rig, &guest);
    assert!(query.calls.is_guest() && query.header.rc() == UvRc::EXECUTED);
    assert_eq!(
        rig.machine.guest_uv_call(guest.conf, Uvc { problem_state: true, ..Uvc::default() }, GuestAddr(0)),
        Some(GuestAnswer::Exception(crate::abi::uvc::ProgramInterruption::new(PgmCode::PRIVILEGED_OPERATION)))
    );
}

#[test]
fn the_host_acts_and_the_guest_issues_the_call_again() {
    let rig = Rig::ready(Generation::Z17);
    let guest = rig.guest(0);
    rig.verified(&guest);
    put(&rig, &guest, &Share::new(UvCommand::SET_SHARED_ACCESS, 0x9000));
    // The page to be shared, then half of the block, is not there.
    assert_eq!(host(PgmCode::NON_SECURE_STORAGE_ACCESS, issue(&rig, &guest)), 0x9000);
    assert_eq!(rig.import(&guest, 0x9000), OK);
    assert_eq!(rig.export(guest.base + COMPONENT + 0x1000), OK);
    assert_eq!(host(PgmCode::NON_SECURE_STORAGE_ACCESS, issue(&rig, &guest)), COMPONENT + 0x1000);
    assert_eq!(rig.import(&guest, COMPONENT + 0x1000), OK);
    assert_eq!(issue(&rig, &guest), DONE);
    assert!(!rig.is_closed(guest.base + 0x9000));
    // A pinned page is not taken back before the host lets go of it.
    let frame = guest.base + 0x9000;
    assert_eq!(rig.call(&mut ConvertFrom::new(UvCommand::PIN_PAGE_SHARED, frame)), OK);
    put(&rig, &guest, &Share::new(UvCommand::REMOVE_SHARED_ACCESS, 0x9000));
    assert_eq!(issue(&rig, &guest), Some(GuestAnswer::Intercept));
    assert_eq!(get::<Share>(&rig, &guest).header().rc(), UvRc(0), "as it was");
    assert_eq!(rig.call(&mut ConvertTo::new(UvCommand::UNPIN_PAGE_SHARED, guest.conf, 0x9000)), OK);
    assert_eq!(issue(&rig, &guest), DONE);
    assert!(rig.is_closed(frame));
}

#[test]
fn nobody_ends_a_configuration_while_its_guest_calls() {
    let rig = Rig::ready(Generation::Z17);
    let guest = rig.guest(0);
    rig.verified(&guest);
    put(&rig, &guest, &QueryInfo::new());
    let conf = Arc::clone(&rig.machine.conf(guest.conf).unwrap());
    let ending = conf.close().unwrap();
    assert_eq!(issue(&rig, &guest), Some(GuestAnswer::Done(Cc::Busy)));
    drop(ending);
    assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CONF, guest.conf), OK);
    assert_eq!(issue(&rig, &guest), None);
}
