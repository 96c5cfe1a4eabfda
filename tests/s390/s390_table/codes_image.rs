//! §1.7: SE header, unpack, verify.

use uv_core::HostAddr;
use uv_s390::abi::se_header::PlaintextControlFlags as Pcf;
use uv_s390::abi::sie::{HostMapping, MappingSize};
use uv_s390::abi::uvc::{Cc, UvRc, UvRrc};
use uv_s390::abi::uvcb::{Unpack, UvCommand};
use uv_s390::owner::crypto::HostPrivateKey;
use uv_s390::owner::image::Measurement;
use uv_s390::sim::Generation;

use crate::registry::Tests;
use crate::rig::{COMPONENT, Codes, Guest, OK, Rig, UV_BASE, items, refused, sealed};

/// Offsets in the SE header.
const VERSION: usize = 8;
const SIZE: usize = 12;
const SLOTS: usize = 32;
const ENCRYPTED: usize = 40;
const FLAGS: usize = 56;
const CUSTOMER_KEY: usize = 64;

/// A change of a header's bytes.
type Change = fn(&mut Vec<u8>);
/// A change of an unpack call and of a byte of its page.
type Fault = fn(&mut Unpack, &mut u8);

fn codes(rc: u16, rrc: u16) -> Codes {
    (Cc::Error, UvRc(rc), UvRrc(rrc))
}

/// What a machine says to a header for its key, changed.
fn changed(change: fn(&mut Vec<u8>)) -> Codes {
    let rig = Rig::ready();
    let mut header = sealed(&[&rig.key], Pcf::PCKMO, |_, _| ()).0.as_bytes().to_vec();
    change(&mut header);
    rig.set_params(&rig.guest(0), &header)
}

fn header(tests: &mut Tests) {
    let changes: [(_, (Change, _)); 8] = [
        ("version", (|bytes| bytes[VERSION + 3] = 1, codes(0x104, 0x01))),
        ("plaintext_flag", (|bytes| bytes[FLAGS] = 0x80, codes(0x106, 0x30))),
        ("customer_key", (|bytes| bytes[CUSTOMER_KEY + 100] ^= 1, codes(0x108, 0x0b))),
        ("length", (|bytes| bytes[SIZE + 3] ^= 0x10, codes(0x10a, 0x31))),
        ("short", (|bytes| bytes.truncate(100), codes(0x10a, 0x31))),
        ("encrypted_size", (|bytes| bytes[ENCRYPTED + 7] ^= 1, codes(0x10a, 0x39))),
        ("no_slots", (|bytes| bytes[SLOTS + 7] = 0, codes(0x10a, 0x40))),
        ("right", (|_| (), OK)),
    ];
    tests.each("s107_image::header", items(changes), |(change, expected)| assert_eq!(changed(change), expected));
    tests.row("s107_image::header::no_matching_slot", || {
        let rig = Rig::ready();
        let stranger = HostPrivateKey::from_scalar(&[6]).unwrap();
        let (header, _) = sealed(&[&stranger], Pcf::PCKMO, |_, _| ());
        assert_eq!(rig.set_params(&rig.guest(0), header.as_bytes()), codes(0x108, 0x05));
    });
    tests.row("s107_image::header::backup_key", || {
        let [backup, stranger] = [5, 6].map(|scalar| HostPrivateKey::from_scalar(&[scalar]).unwrap());
        let rig = Rig::with_backup(Generation::Z17, Some(backup.clone()));
        assert_eq!(rig.init(UV_BASE, 0), OK);
        let guest = rig.guest(0);
        for (key, flag, expected) in [
            (&stranger, Pcf::BACKUP_KEYS, codes(0x108, 0x34)),
            (&backup, Pcf::empty(), codes(0x108, 0x05)),
            (&backup, Pcf::BACKUP_KEYS, OK),
        ] {
            let (header, _) = sealed(&[key], Pcf::PCKMO | flag, |_, _| ());
            assert_eq!(rig.set_params(&guest, header.as_bytes()), expected, "{flag:?}");
        }
    });
    tests.row("s107_image::header::secret_flag", || {
        let rig = Rig::ready_on(Generation::Z15);
        let (header, _) = sealed(&[&rig.key], Pcf::PCKMO, |area, _| area.secret_flags = (1 << 62).into());
        assert_eq!(rig.set_params(&rig.guest(0), header.as_bytes()), codes(0x109, 0));
    });
}

/// A configuration with its header taken and the component in its memory.
fn unpacking() -> (Rig, Guest) {
    unpacking_with(|_| ())
}

/// As [`unpacking`], with a header that states something else.
fn unpacking_with(change: fn(&mut Measurement)) -> (Rig, Guest) {
    let rig = Rig::ready();
    let guest = rig.guest(0);
    let (header, stored) = sealed(&[&rig.key], Pcf::PCKMO, |_, measurement| change(measurement));
    assert_eq!(rig.set_params(&guest, header.as_bytes()), OK);
    rig.put(guest.base + COMPONENT, &stored);
    (rig, guest)
}

pub(crate) fn register(tests: &mut Tests) {
    header(tests);
    let mapping = HostMapping { frame: HostAddr(0x4000_3000), writable: false, size: MappingSize::Page };
    let mappings = [("absent", None), ("read_only", Some(mapping))];
    tests.each("s107_image::unpack_not_mapped", items(mappings), |mapping| {
        let (rig, guest) = unpacking();
        guest.tables.moved.lock().insert(COMPONENT, mapping);
        assert_eq!(rig.call(&mut rig.unpack_block(&guest, 0)), refused(0x010a));
        guest.tables.moved.lock().clear();
        assert_eq!(rig.call(&mut rig.unpack_block(&guest, 0)), OK, "the host tries again");
    });
    tests.row("s107_image::unpack_secure", || {
        let (rig, guest) = unpacking();
        assert_eq!(rig.call(&mut rig.unpack_block(&guest, 0)), OK);
        let again = || rig.call(&mut rig.unpack_block(&guest, 0));
        assert_eq!(again(), codes(0x104, 0));
        assert_eq!([rig.export(guest.base + COMPONENT), again()], [OK, codes(0x104, 0)], "exported is not new");
        assert_eq!(rig.import(&guest, COMPONENT), OK);
        assert_eq!(rig.call(&mut rig.unpack_block(&guest, 1)), OK);
        assert_eq!(rig.no_data(UvCommand::VERIFY_IMG, guest.conf), OK, "the refused page counts in no digest");
    });
    let faults: [(_, (Fault, _)); 3] = [
        ("address_list", (|block, _| block.gaddr = (COMPONENT + 0x2000).into(), 0x1a)),
        ("page_list", (|_, byte| *byte ^= 1, 0x1b)),
        ("tweak_list", (|block, _| block.tweak[1] = 0x2000.into(), 0x1c)),
    ];
    tests.each("s107_image::verify", items(faults), |(change, rrc)| {
        let (rig, guest) = unpacking();
        assert_eq!(rig.call(&mut rig.unpack_block(&guest, 0)), OK);
        let (_, stored) = sealed(&[&rig.key], Pcf::PCKMO, |_, _| ());
        let mut page = stored[0x1000..].to_vec();
        let mut block = rig.unpack_block(&guest, 1);
        change(&mut block, &mut page[77]);
        rig.put(guest.base + block.gaddr.get(), &page);
        assert_eq!(rig.call(&mut block), OK);
        assert_eq!(rig.no_data(UvCommand::VERIFY_IMG, guest.conf), codes(0x102, rrc));
        assert_eq!(rig.no_data(UvCommand::VERIFY_IMG, guest.conf), refused(UvRc::STATE.0), "nothing leads on");
    });
    tests.row("s107_image::verify::page_count", || {
        let (rig, guest) = unpacking_with(|measurement| measurement.page_count = 3);
        assert_eq!([0, 1].map(|page| rig.call(&mut rig.unpack_block(&guest, page))), [OK, OK]);
        assert_eq!(rig.no_data(UvCommand::VERIFY_IMG, guest.conf), codes(0x102, 0x1d));
    });
}
