use crate::abi::sie::{HostMapping, InterceptionCode, MappingSize};
use crate::abi::uvc::{PgmCode, Teid, UvRc};
use crate::abi::uvcb::{ConvertTo, CpuState, Share, UvCommand};
use crate::sim::rig::{GUEST_LEN, MIB, OK, Rig, diag, refused, uvc};
use crate::sim::{Generation, GuestInsn, InsnResult};
use uv_core::{GuestAddr, HostAddr, NormalMemory};
use uv_sim::guest::{Outcome, Step};
use zeroize::Zeroizing;

const PAGE: u64 = 0x8000;

fn share(page: u64) -> Step<GuestInsn> {
    uvc(&Share::new(UvCommand::SET_SHARED_ACCESS, page))
}

fn unshare(page: u64) -> Step<GuestInsn> {
    uvc(&Share::new(UvCommand::REMOVE_SHARED_ACCESS, page))
}

/// cc and rc of what a guest's call returned.
fn codes(outcome: &Outcome<InsnResult>) -> (u8, u16) {
    match outcome {
        Outcome::Returned(InsnResult::Data { cc, bytes }) => (*cc, u16::from_be_bytes([bytes[4], bytes[5]])),
        other => panic!("{other:?}"),
    }
}

#[test]
fn both_sides_see_a_shared_page_and_only_the_guest_a_private_one() {
    let rig = Rig::ready(Generation::Z17);
    let steps = [
        Step::store(GuestAddr(PAGE), b"from guest"),
        share(PAGE),
        diag(0x44, [0; 5]),
        Step::load(GuestAddr(PAGE), 4),
        unshare(PAGE),
        share(GUEST_LEN + 0x1000),
        share(PAGE + 8),
        unshare(GUEST_LEN),
        diag(0x44, [0; 5]),
    ];
    let (guest, cpu, seen) = rig.booted(0, steps);
    assert_eq!(rig.import(&guest, PAGE), OK);
    let at = HostAddr(guest.base + PAGE);
    assert_eq!(rig.enter(&guest, cpu).gr(5), 0x44);
    let mut bytes = [0; 10];
    rig.host.read(at, &mut bytes).unwrap();
    assert_eq!(&bytes, b"from guest");
    rig.host.write(at, b"host").unwrap();
    assert_eq!(rig.import(&guest, PAGE), OK, "shared in this frame already");
    assert!(!rig.is_closed(at.0), "and it stays shared");
    // The guest's own shared frame does not change hands.
    let (other, mapping) = (PAGE + 0x1000, HostMapping { frame: at, writable: true, size: MappingSize::Page });
    guest.tables.moved.lock().insert(other, Some(mapping));
    assert_eq!(rig.import(&guest, other), refused(UvRc::FOREIGN_FRAME));
    assert_eq!(rig.machine.page_counts(guest.conf).unwrap().shared, 1);
    assert_eq!(rig.enter(&guest, cpu).gr(5), 0x44);
    assert!(rig.is_closed(at.0));
    let seen = seen.lock();
    assert_eq!(seen[3], Outcome::Loaded(Zeroizing::new(b"host".to_vec())));
    assert_eq!([1, 4, 5, 6, 7].map(|n| codes(&seen[n])), [(0, 1), (0, 1), (1, 0x101), (1, 0x101), (1, 0x101)]);
}

#[test]
fn a_page_that_is_not_secure_is_asked_for_first() {
    let rig = Rig::ready(Generation::Z17);
    let (guest, cpu, seen) = rig.booted(0, [share(PAGE), diag(0x44, [0; 5])]);
    let fault = rig.machine_enter(&guest, cpu).unwrap_err();
    assert_eq!((fault.code, fault.teid.unwrap().page()), (PgmCode::NON_SECURE_STORAGE_ACCESS, PAGE));
    assert_eq!(rig.import(&guest, PAGE), OK);
    assert_eq!(rig.enter(&guest, cpu).gr(5), 0x44);
    assert_eq!(codes(&seen.lock()[0]), (0, 1));
}

#[test]
fn a_pinned_page_is_given_back_only_after_unpin() {
    let rig = Rig::ready(Generation::Z17);
    let (guest, cpu, seen) = rig.booted(0, [share(PAGE), diag(0x44, [0; 5]), unshare(PAGE), diag(0x9c, [0; 5])]);
    assert_eq!(rig.import(&guest, PAGE), OK);
    let at = guest.base + PAGE;
    let pin = |at| rig.storage(UvCommand::PIN_PAGE_SHARED, at);
    let unpin = |addr| rig.call(&mut ConvertTo::new(UvCommand::UNPIN_PAGE_SHARED, guest.conf, addr));
    assert_eq!(pin(at), refused(UvRc::STATE), "private: the host's probe");
    assert_eq!(pin(1), refused(UvRc::INVALID_ABSOLUTE));
    assert_eq!(unpin(PAGE), refused(UvRc::STATE));
    assert_eq!(rig.enter(&guest, cpu).gr(5), 0x44);
    assert_eq!(unpin(PAGE), refused(UvRc::STATE));
    assert_eq!([pin(at), pin(at)], [OK, OK]);
    for _ in 0..2 {
        let sd = rig.enter(&guest, cpu);
        assert_eq!((sd.interception(), sd.ipa.get()), (InterceptionCode::PV_NOTIFICATION, 0xb9a4));
        let mut block = [0; 0x30];
        rig.host.read(sd.sida().origin(), &mut block).unwrap();
        assert_eq!(block[2..4], [0x10, 0x01]);
        assert_eq!(block[0x20..0x28], PAGE.to_be_bytes());
    }
    assert_eq!([unpin(GUEST_LEN), unpin(PAGE + 1)], [refused(UvRc::ADDRESS); 2]);
    assert_eq!(unpin(PAGE), OK);
    assert_eq!(rig.enter(&guest, cpu).gr(5), 0x9c);
    assert!(rig.is_closed(at));
    assert_eq!(codes(&seen.lock()[2]), (0, 1));
}

#[test]
fn unshare_all_takes_shared_pinned_and_exported_pages() {
    let rig = Rig::ready(Generation::Z17);
    let pages = [0x8000, 0x9000, 0xa000];
    let (guest, cpu, _) = rig.booted(0, pages.map(share).into_iter().chain([diag(0x44, [0; 5])]));
    pages.iter().for_each(|page| assert_eq!(rig.import(&guest, *page), OK));
    assert_eq!(rig.enter(&guest, cpu).gr(5), 0x44);
    assert_eq!(rig.storage(UvCommand::PIN_PAGE_SHARED, guest.base + 0x9000), OK);
    rig.host.write(HostAddr(guest.base + 0xa000), b"clear").unwrap();
    assert_eq!(rig.export(guest.base + 0xa000), OK);
    let mut clear = [0; 5];
    rig.host.read(HostAddr(guest.base + 0xa000), &mut clear).unwrap();
    assert_eq!(&clear, b"clear");
    let all = || rig.no_data(UvCommand::SET_UNSHARE_ALL, guest.conf);
    assert_eq!(all(), refused(UvRc::STATE));
    assert_eq!(rig.set_state(cpu, CpuState::STOPPED), OK);
    assert_eq!(all(), OK);
    assert!(rig.is_closed(guest.base + 0x8000) && rig.is_closed(guest.base + 0x9000));
    assert!(!rig.is_closed(guest.base + 0xa000));
    assert_eq!(rig.machine.page_counts(guest.conf).unwrap().shared, 0);
    assert_eq!(rig.machine.page_counts(guest.conf).unwrap().withdrawn, 0);
}

#[test]
fn an_exported_shared_page_comes_back_shared() {
    let rig = Rig::ready(Generation::Z17);
    let steps = [share(PAGE), diag(0x44, [0; 5]), Step::load(GuestAddr(PAGE), 3), diag(0x44, [0; 5])];
    let (guest, cpu, seen) = rig.booted(0, steps);
    assert_eq!(rig.import(&guest, PAGE), OK);
    assert_eq!(rig.enter(&guest, cpu).gr(5), 0x44);
    assert_eq!(rig.export(guest.base + PAGE), OK);
    rig.host.write(HostAddr(guest.base + PAGE), b"new").unwrap();
    assert_eq!(rig.machine_enter(&guest, cpu).unwrap_err().code, PgmCode::NON_SECURE_STORAGE_ACCESS);
    assert_eq!(rig.import(&guest, PAGE), OK);
    assert!(!rig.is_closed(guest.base + PAGE));
    assert_eq!(rig.enter(&guest, cpu).gr(5), 0x44);
    assert_eq!(seen.lock()[2], Outcome::Loaded(Zeroizing::new(b"new".to_vec())));
}

#[test]
fn frames_of_others_are_violations() {
    let rig = Rig::ready(Generation::Z17);
    let (one, _, _) = rig.booted(0, []);
    let (two, cpu, _) = rig.booted(1, [Step::load(GuestAddr(PAGE), 1), diag(0x44, [0; 5])]);
    assert_eq!(rig.import(&one, PAGE), OK);
    let map = |frame, writable, size| {
        two.tables.moved.lock().insert(PAGE, Some(HostMapping { frame: HostAddr(frame), writable, size }));
    };
    map(one.base + PAGE, true, MappingSize::Page);
    let fault = || rig.machine_enter(&two, cpu).unwrap_err();
    assert_eq!(fault().code, PgmCode::SECURE_STORAGE_VIOLATION);
    assert_eq!(fault().teid, Some(Teid::new(PAGE, true, Teid::PRIMARY)));
    assert_eq!(rig.storage(UvCommand::DESTR_SEC_STOR, one.base + PAGE), OK);
    assert_eq!(fault().code, PgmCode::NON_SECURE_STORAGE_ACCESS);
    map(one.create.conf_base_stor_origin.get(), true, MappingSize::Page);
    assert_eq!(fault().code, PgmCode::SECURE_STORAGE_VIOLATION);
    two.tables.moved.lock().insert(PAGE, None);
    assert_eq!(fault().code, PgmCode::PAGE_TRANSLATION);
    map(two.base + PAGE, false, MappingSize::Page);
    two.tables.moved.lock().remove(&PAGE);
    assert_eq!(rig.import(&two, PAGE), OK);
    assert_eq!(rig.enter(&two, cpu).gr(5), 0x44);
}

#[test]
fn a_shared_frame_changes_hands_with_feature_misc_only() {
    for (generation, expected) in [(Generation::Z15, refused(UvRc::FOREIGN_FRAME)), (Generation::Z16, OK)] {
        let rig = Rig::ready(generation);
        let (one, cpu, _) = rig.booted(0, [share(PAGE), diag(0x44, [0; 5])]);
        assert_eq!(rig.import(&one, PAGE), OK);
        assert_eq!(rig.enter(&one, cpu).gr(5), 0x44);
        let two = rig.guest(1);
        let frame = HostAddr(one.base + PAGE);
        let mapping = HostMapping { frame, writable: true, size: MappingSize::Page };
        two.tables.moved.lock().insert(PAGE, Some(mapping));
        assert_eq!(rig.import(&two, PAGE), expected);
        assert_eq!(rig.is_closed(frame.0), expected == OK);
    }
}

#[test]
fn a_large_frame_serves_only_while_it_is_whole() {
    let rig = Rig::ready(Generation::Z17);
    let load = |at| Step::load(GuestAddr(MIB + at), 1);
    let (guest, cpu, _) = rig.booted(0, [load(0), diag(0x44, [0; 5]), load(0), diag(0x44, [0; 5])]);
    assert!((0..256).all(|page| rig.import(&guest, MIB + (page << 12)) == OK));
    let large = |on: bool| {
        for page in 0..256 {
            let frame = HostAddr(guest.base + MIB + (page << 12));
            let mapping = HostMapping { frame, writable: true, size: MappingSize::Segment };
            let mut moved = guest.tables.moved.lock();
            if on {
                moved.insert(MIB + (page << 12), Some(mapping))
            } else {
                moved.remove(&(MIB + (page << 12)))
            };
        }
    };
    large(true);
    let merge = || rig.call(&mut ConvertTo::new(UvCommand::VERIFY_LARGE_FRAME, guest.conf, MIB));
    assert_eq!(rig.machine_enter(&guest, cpu).unwrap_err().code, PgmCode::SECURE_PAGE_SIZE);
    assert_eq!(merge(), OK);
    assert_eq!(rig.enter(&guest, cpu).gr(5), 0x44);
    assert_eq!(rig.export(guest.base + MIB + 0x5000), OK);
    let fault = rig.machine_enter(&guest, cpu).unwrap_err();
    assert_eq!((fault.code, fault.teid.unwrap().page()), (PgmCode::SECURE_PAGE_SIZE, MIB), "the page touched");
    assert_eq!(merge(), refused(UvRc::LARGE_INCOMPLETE));
    large(false);
    assert_eq!(rig.enter(&guest, cpu).gr(5), 0x44, "by 4 KiB mappings");
    large(true);
    assert_eq!(rig.import(&guest, MIB + 0x5000), OK);
    assert_eq!(merge(), OK);
}
