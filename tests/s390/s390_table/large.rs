//! §11.7: 1 MiB frames, as the posted tests have them. Guest storage begins at an MSO that is not 0.

use uv_core::{GuestAddr, HostAddr};
use uv_s390::abi::sie::{HostMapping, InterceptionCode, MappingSize};
use uv_s390::abi::uvc::PgmCode;
use uv_s390::abi::uvcb::{ConvertTo, UvCommand};
use uv_sim::guest::Step;

use crate::registry::Tests;
use crate::rig::{Codes, GUEST_LEN, MIB, OK, Rig, Running, diag, items, refused};

const MSO: u64 = 16 * MIB;
/// The MiB of the guest that is merged, and the page of it that the guest touches.
const LARGE: u64 = MIB;
const TOUCHED: u64 = LARGE + 0x7_3000;

/// A guest that touches the large frame and tells the host, and again.
fn booted() -> (Rig, Running) {
    let rig = Rig::ready();
    let touch = || [Step::load(GuestAddr(TOUCHED), 1), diag(0x44, [0; 5])];
    let running = rig.booted_at(0, MSO, touch().into_iter().chain(touch()));
    (rig, running)
}

fn import(rig: &Rig, running: &Running, pages: impl IntoIterator<Item = u64>) {
    for page in pages {
        assert_eq!(rig.import(&running.0, LARGE + (page << 12)), OK);
    }
}

fn map_all(running: &Running, size: MappingSize) {
    *running.0.tables.large.lock() = Some(size);
}

fn merge(rig: &Rig, running: &Running) -> Codes {
    rig.convert(UvCommand::VERIFY_LARGE_FRAME, &running.0, LARGE)
}

/// Puts page `page` of the large frame behind another frame.
fn map(running: &Running, page: u64, frame: u64, size: MappingSize) {
    let guest = &running.0;
    let mapping = HostMapping { frame: HostAddr(guest.base + frame), writable: true, size };
    guest.tables.moved.lock().insert(LARGE + (page << 12), Some(mapping));
}

/// All pages are in, mapped as one, merged, and used.
fn merged() -> (Rig, Running) {
    let (rig, running) = booted();
    import(&rig, &running, 0..256);
    // The prefix area and the image of the guest stay in 4 KiB pages.
    for page in 0..256 {
        map(&running, page, LARGE + (page << 12), MappingSize::Segment);
    }
    assert_eq!(rig.try_enter(&running.0, running.1).unwrap_err().code, PgmCode(0x3c), "not merged yet");
    assert_eq!(merge(&rig, &running), OK);
    assert_eq!(rig.enter(&running.0, running.1).gr(5), 0x44);
    (rig, running)
}

pub(crate) fn register(tests: &mut Tests) {
    let addresses = [("zero", 0), ("below_mso", MSO - MIB), ("above_limit", MSO + GUEST_LEN)];
    tests.each("large_frame::r01_outside", items(addresses), |addr| {
        let (rig, (guest, ..)) = booted();
        let mut block = ConvertTo::new(UvCommand::VERIFY_LARGE_FRAME, guest.conf, addr);
        assert_eq!(rig.call(&mut block), refused(0x0103));
    });
    let missing = [("first_missing", (1, 256)), ("only_first_present", (0, 1))];
    tests.each("large_frame::r02_incomplete", items(missing), |(first, end)| {
        let (rig, running) = booted();
        import(&rig, &running, first..end);
        map_all(&running, MappingSize::Segment);
        assert_eq!(merge(&rig, &running), refused(0x0106));
    });
    tests.row("large_frame::r03_region_mapping", || {
        let (rig, running) = booted();
        import(&rig, &running, 0..256);
        map_all(&running, MappingSize::Region);
        assert_eq!(merge(&rig, &running), refused(0x0108));
    });
    // Other frames for pages 3 and 4: each other's, or one of another MiB.
    let frames = [("swapped", (LARGE + 0x4000, LARGE + 0x3000)), ("another_frame", (LARGE + 0x3000, 2 * MIB))];
    tests.each("large_frame::r04_order", items(frames), |(three, four)| {
        let (rig, running) = booted();
        map(&running, 3, three, MappingSize::Page);
        map(&running, 4, four, MappingSize::Page);
        import(&rig, &running, 0..256);
        map_all(&running, MappingSize::Segment);
        running.0.tables.moved.lock().clear();
        assert_eq!(merge(&rig, &running), refused(0x0104));
    });
    tests.row("large_frame::r05_other_address", || {
        let (rig, running) = booted();
        import(&rig, &running, 0..256);
        for page in 0..256 {
            map(&running, page, 2 * MIB + (page << 12), MappingSize::Segment);
        }
        assert_eq!(merge(&rig, &running), refused(0x0107));
    });
    tests.row("large_frame::r06_all_fine", || drop(merged()));
    tests.row("large_frame::r07_export_of_one_page", || {
        let (rig, running) = merged();
        assert_eq!(rig.export(running.0.base + LARGE), OK);
    });
    tests.row("large_frame::r08_entry_after_export", || {
        let (rig, (guest, cpu, _)) = merged();
        assert_eq!(rig.export(guest.base + LARGE), OK);
        let fault = rig.try_enter(&guest, cpu).unwrap_err();
        assert_eq!(fault.code, PgmCode(0x3c));
        assert_eq!(fault.teid.unwrap().page(), MSO + TOUCHED, "the page touched, not the one exported");
    });
    let ways = items([("import_and_merge", true), ("by_4k_pages", false)]);
    tests.each("large_frame::r09_runs_again", ways, |again| {
        let (rig, running) = merged();
        let (guest, cpu, _) = &running;
        assert_eq!(rig.export(guest.base + LARGE), OK);
        assert_eq!(rig.try_enter(guest, *cpu).unwrap_err().code, PgmCode(0x3c));
        if again {
            assert_eq!([rig.import(guest, LARGE), merge(&rig, &running)], [OK, OK]);
        } else {
            guest.tables.moved.lock().clear();
        }
        let sd = rig.enter(guest, *cpu);
        assert_eq!((sd.interception(), sd.gr(5)), (InterceptionCode::PV_NOTIFICATION, 0x44));
    });
}
