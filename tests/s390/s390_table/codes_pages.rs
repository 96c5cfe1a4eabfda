//! §1.7 and §4.2: page calls whose codes no row of §11 asserts. Codes that no public source names are this library's.

use crate::registry::Tests;
use crate::rig::{MIB, OK, Rig, Running, UV_BASE, diag, items, refused};
use uv_core::{GuestAddr, HostAddr, NormalMemory};
use uv_s390::abi::sie::{HostMapping, MappingSize};
use uv_s390::abi::uvc::{Cc, UvRc, UvRrc};
use uv_s390::abi::uvcb::UvCommand;
use uv_s390::sim::Generation;
use uv_sim::guest::Step;

const ONE: u64 = 0x8000;
const TWO: u64 = 0x9000;

/// A guest that has written to two pages, which are exported now.
fn exported() -> (Rig, Running) {
    let rig = Rig::ready();
    let store = |page, byte| Step::store(GuestAddr(page), &[byte; 4096]);
    let running = rig.booted(0, [store(ONE, 1), store(TWO, 2), diag(0x44, [0; 5]), store(ONE, 3), diag(0x44, [0; 5])]);
    let (guest, cpu, _) = &running;
    assert_eq!(rig.serve(guest, *cpu).gr(5), 0x44);
    assert_eq!([rig.export(guest.base + ONE), rig.export(guest.base + TWO)], [OK, OK]);
    (rig, running)
}

fn page(rig: &Rig, at: u64) -> Vec<u8> {
    let mut page = vec![0; 4096];
    rig.host.read(HostAddr(at), &mut page).unwrap();
    page
}

pub(crate) fn register(tests: &mut Tests) {
    tests.row("s107_pages::import_already_secure", || {
        let rig = Rig::ready();
        let (guest, cpu, _) = rig.booted(0, [Step::store(GuestAddr(ONE), b"kept"), diag(0x44, [0; 5])]);
        assert_eq!(rig.serve(&guest, cpu).gr(5), 0x44);
        assert_eq!(rig.import(&guest, ONE), OK, "as for the slower of two CPUs that take 0x3e");
        assert!(rig.is_closed(guest.base + ONE));
        let elsewhere = HostMapping { frame: HostAddr(guest.base + TWO), writable: true, size: MappingSize::Page };
        guest.tables.moved.lock().insert(ONE, Some(elsewhere));
        assert_eq!(rig.import(&guest, ONE), refused(UvRc::FOREIGN_FRAME.0), "but not through another frame");
        assert!(!rig.is_closed(guest.base + TWO));
    });
    tests.row("s107_pages::import_not_mapped", || {
        let rig = Rig::ready();
        let guest = rig.guest(0);
        guest.tables.moved.lock().insert(ONE, None);
        assert_eq!(rig.import(&guest, ONE), refused(0x010a));
    });
    let refused_content = refused(UvRc::STORAGE_INTEGRITY.0);
    tests.row("s107_pages::import_swapped", move || {
        let (rig, (guest, ..)) = exported();
        let (one, two) = (page(&rig, guest.base + ONE), page(&rig, guest.base + TWO));
        rig.put(guest.base + ONE, &two);
        rig.put(guest.base + TWO, &one);
        assert_eq!([rig.import(&guest, ONE), rig.import(&guest, TWO)], [refused_content; 2]);
        rig.put(guest.base + ONE, &one);
        assert_eq!(rig.import(&guest, ONE), OK, "in its place it is good");
    });
    tests.row("s107_pages::import_changed", move || {
        let (rig, (guest, ..)) = exported();
        let mut one = page(&rig, guest.base + ONE);
        assert!(one.iter().any(|byte| *byte != one[0]), "ciphertext");
        one[4095] ^= 1;
        rig.put(guest.base + ONE, &one);
        assert_eq!(rig.import(&guest, ONE), refused_content);
        assert!(!rig.is_closed(guest.base + ONE));
    });
    tests.row("s107_pages::import_replayed", move || {
        let (rig, (guest, cpu, _)) = exported();
        let old = page(&rig, guest.base + ONE);
        assert_eq!(rig.serve(&guest, cpu).gr(5), 0x44);
        assert_eq!(rig.export(guest.base + ONE), OK);
        assert_ne!(page(&rig, guest.base + ONE), old);
        rig.put(guest.base + ONE, &old);
        assert_eq!(rig.import(&guest, ONE), refused_content);
    });
    tests.row("s107_pages::import_of_another_guest", move || {
        let (rig, (guest, ..)) = exported();
        let (other, ..) = rig.booted(1, []);
        assert_eq!([rig.import(&other, ONE), rig.export(other.base + ONE)], [OK, OK]);
        rig.put(other.base + ONE, &page(&rig, guest.base + ONE));
        assert_eq!(rig.import(&other, ONE), refused_content);
    });
    let generations = [
        ("z15", (Generation::Z15, (Cc::Error, UvRc(0x107), UvRrc(0x0d)))),
        ("z16", (Generation::Z16, OK)),
        ("z17", (Generation::Z17, OK)),
    ];
    tests.each("s107_pages::destroy_not_secure", items(generations), |(generation, expected)| {
        let rig = Rig::ready_on(generation);
        let guest = rig.guest(0);
        assert_eq!(rig.storage(UvCommand::DESTR_SEC_STOR, guest.base), expected);
        assert_eq!([rig.import(&guest, 0), rig.storage(UvCommand::DESTR_SEC_STOR, guest.base)], [OK, OK]);
    });
    tests.row("s107_pages::pin_private", || {
        let rig = Rig::ready();
        let guest = rig.guest(0);
        assert_eq!(rig.import(&guest, ONE), OK);
        let pin = || rig.storage(UvCommand::PIN_PAGE_SHARED, guest.base + ONE);
        assert_eq!([pin(), pin()], [refused(UvRc::STATE.0); 2]);
        assert!(rig.is_closed(guest.base + ONE));
        assert_eq!([rig.export(guest.base + ONE), pin()], [OK, refused(UvRc::STATE.0)], "nor a page that is gone");
    });
    tests.row("s107_pages::init_origin", || {
        let rig = Rig::new(Generation::Z17);
        assert_eq!(rig.init(UV_BASE + 0x1000, 0), refused(0x0104));
        assert_eq!(rig.init(UV_BASE + MIB, 0), OK);
    });
}
