//! Host virtual addresses: the variable storage, the SE header, the dump areas, and the control block itself.

use crate::abi::se_header::PlaintextControlFlags;
use crate::abi::sie::{AddressSpaces, GuestMap, HostMapping, MappingSize};
use crate::abi::uvc::{Cc, PgmCode, UvRc};
use crate::abi::uvcb::{DumpComplete, DumpCpu, DumpStorageState, NoData, SetParams, UvCommand};
use crate::abi::uvcb::{InitUv, Share};
use crate::sim::rig::{Codes, GIB, OK, Rig, UV_BASE, refused, uvc};
use crate::sim::{FrameAddress, Generation, Uvc};
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use spin::Mutex;
use uv_core::{AccessError, GuestAddr, HostAddr, NormalMemory};
use uv_sim::guest::Step;
use zerocopy::IntoBytes;

/// Where the tests map virtual pages.
const VIRTUAL: u64 = 0x7000_0000_0000;
const ASCE: u64 = 0x8000;
/// Bit 58 of an ASCE: a real space.
const REAL_SPACE: u64 = 0x20;

/// Home page tables: virtual page → frame, and whether it may be stored to.
#[derive(Default)]
struct Home(Mutex<BTreeMap<u64, (u64, bool)>>);

impl Home {
    fn map(&self, page: u64, frame: u64) {
        self.0.lock().insert(VIRTUAL + (page << 12), (frame, true));
    }
}

impl GuestMap for Home {
    fn translate(&self, addr: GuestAddr) -> Option<HostMapping> {
        let (frame, writable) = *self.0.lock().get(&(addr.0 & !0xfff))?;
        Some(HostMapping { frame: HostAddr(frame), writable, size: MappingSize::Page })
    }
}

fn rig() -> (Rig, Arc<Home>) {
    let rig = Rig::ready(Generation::Z17);
    let home = Arc::new(Home::default());
    rig.machine.attach(ASCE, home.clone());
    rig.machine.set_home_space(Some(ASCE));
    (rig, home)
}

#[test]
fn a_real_space_has_no_virtual_addresses() {
    let (rig, _) = rig();
    rig.machine.set_home_space(None);
    let guest = rig.guest(0);
    let cpu = rig.cpu(&guest, 0);
    rig.verified(&guest);
    assert_eq!(rig.no_data(UvCommand::DUMP_INIT, guest.conf), OK);
    let other = rig.guest(1);
    rig.machine.set_home_space(Some(ASCE | REAL_SPACE));
    let real = refused(UvRc::HOME_REAL_SPACE);
    assert_eq!(rig.call(&mut rig.create_block(2)), real);
    let mut empty = rig.create_block(2);
    empty.guest_stor_len = 0.into();
    assert_eq!(rig.call(&mut empty), real, "before all else");
    assert_eq!(rig.call(&mut SetParams::new(other.conf, other.base, 640)), real);
    assert_eq!(rig.call(&mut DumpCpu::new(cpu.handle, 0x50_0000)), real);
    assert_eq!(rig.call(&mut DumpStorageState::new(guest.conf, 0x50_0000, 0)), real);
    assert_eq!(rig.call(&mut DumpComplete::new(guest.conf, 0x50_0000)), real);
    assert_eq!(rig.call(&mut DumpComplete::new(guest.conf + 1, 0x50_0000)), refused(UvRc::INVALID_CONF_HANDLE));
    assert_eq!(rig.import(&other, 0), OK, "no virtual address, no question");
}

#[test]
fn a_machine_may_translate_the_addresses_of_frames() {
    let rig = Rig::with(|config| config.frame_address = FrameAddress::HomeVirtual);
    assert_eq!(rig.call(&mut InitUv::new(UV_BASE, rig.info.uv_base_stor_len.get())), OK);
    let home = Arc::new(Home::default());
    rig.machine.attach(ASCE, home.clone());
    let share = uvc(&Share::new(UvCommand::SET_SHARED_ACCESS, 0x9000));
    let (guest, cpu, _) = rig.booted(0, [Step::store(GuestAddr(0x8000), b"private"), share]);
    rig.serve(&guest, cpu);
    assert_eq!(rig.export(guest.base + 0x8000), OK, "without an ASCE both are one");
    assert_eq!(rig.import(&guest, 0x8000), OK);
    rig.machine.set_home_space(Some(ASCE));
    home.map(0, guest.base + 0x8000);
    home.map(1, guest.base + 0x9000);
    home.map(2, 4 * GIB);
    let (export, pin, destroy) = (UvCommand::CONV_FROM_SEC_STOR, UvCommand::PIN_PAGE_SHARED, UvCommand::DESTR_SEC_STOR);
    for command in [export, pin, destroy] {
        assert_eq!(rig.storage(command, guest.base + 0x8000), refused(UvRc::TRANSLATION), "{command}");
        assert_eq!(rig.storage(command, VIRTUAL + 0x10), refused(UvRc::INVALID_ABSOLUTE), "{command}");
        assert_eq!(rig.storage(command, VIRTUAL + 0x2000), refused(UvRc::INVALID_ABSOLUTE), "{command}");
        rig.machine.set_home_space(Some(ASCE | REAL_SPACE));
        assert_eq!(rig.storage(command, VIRTUAL), refused(UvRc::HOME_REAL_SPACE), "{command}");
        rig.machine.set_home_space(Some(ASCE));
    }
    assert_eq!(rig.storage(pin, VIRTUAL), refused(UvRc::STATE), "private");
    assert_eq!(rig.storage(pin, VIRTUAL + 0x1000), OK);
    assert_eq!([rig.storage(export, VIRTUAL), rig.storage(destroy, VIRTUAL + 0x1000)], [OK, OK]);
    assert!(!rig.is_closed(guest.base + 0x8000));
    assert_eq!(rig.machine.page_counts(guest.conf).unwrap().shared, 0);
}

#[test]
fn variable_storage_may_be_scattered() {
    let (rig, home) = rig();
    let pages = rig.info.variable_storage_len(4 << 20).unwrap() >> 12;
    let frame = |page: u64| GIB / 2 + ((pages - page) << 13);
    let create = || {
        let mut block = rig.create_block(0);
        block.conf_virt_stor_origin = VIRTUAL.into();
        (rig.call(&mut block), block.guest_handle.get())
    };
    (0..pages - 1).for_each(|page| home.map(page, frame(page)));
    assert_eq!(create(), (refused(UvRc::TRANSLATION), 0), "the last page is not mapped");
    assert!(!rig.is_closed(rig.create_block(0).conf_base_stor_origin.get()), "nothing was taken");
    home.map(pages - 1, frame(pages - 1));
    let (codes, handle) = create();
    assert_eq!(codes, OK);
    for page in 0..pages {
        assert!(rig.is_closed(frame(page)) && !rig.is_closed(frame(page) + 0x1000));
    }
    assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CONF, handle), OK);
    assert!((0..pages).all(|page| !rig.is_closed(frame(page))));
}

#[test]
fn the_header_is_read_page_by_page() {
    let (rig, home) = rig();
    rig.machine.set_home_space(None);
    let guest = rig.guest(0);
    rig.machine.set_home_space(Some(ASCE));
    let (header, _) = rig.image(&[&rig.machine.host_key], PlaintextControlFlags::PCKMO);
    let (front, back) = header.as_bytes().split_at(0x20);
    rig.host.write(HostAddr(0x60_0fe0), front).unwrap();
    rig.host.write(HostAddr(0x50_0000), back).unwrap();
    let len = u32::try_from(header.as_bytes().len()).unwrap();
    let set = || rig.call(&mut SetParams::new(guest.conf, VIRTUAL + 0xfe0, len));
    assert_eq!(set(), refused(UvRc::HEADER_ACCESS));
    home.map(0, 0x60_0000);
    assert_eq!(set(), refused(UvRc::HEADER_ACCESS), "it crosses into a page that is not mapped");
    home.map(1, 4 * GIB);
    assert_eq!(set(), refused(UvRc::HEADER_ACCESS), "no such frame");
    home.map(1, 0x50_0000);
    assert_eq!(set(), OK);
}

#[test]
fn dump_areas_say_why_they_cannot_be_had() {
    let (rig, home) = rig();
    rig.machine.set_home_space(None);
    let guest = rig.guest(0);
    rig.verified(&guest);
    rig.machine.set_home_space(Some(ASCE));
    assert_eq!(rig.no_data(UvCommand::DUMP_INIT, guest.conf), OK);
    let storage = || -> Codes { rig.call(&mut DumpStorageState::new(guest.conf, VIRTUAL + 0x800, 0)) };
    home.map(0, 0x50_0000);
    assert_eq!(storage(), refused(UvRc::TRANSLATION));
    home.0.lock().insert(VIRTUAL + 0x1000, (0x60_0000, false));
    assert_eq!(storage(), refused(UvRc::TRANSLATION), "not for stores");
    home.map(1, 4 * GIB);
    assert_eq!(storage(), refused(UvRc::INVALID_ABSOLUTE));
    home.map(1, guest.create.conf_base_stor_origin.get());
    assert_eq!(storage(), refused(UvRc::INVALID_ABSOLUTE), "donated");
    home.map(1, 0x60_0000);
    assert_eq!(storage(), OK);
    let mut entry = [0; 16];
    rig.host.read(HostAddr(0x60_0000), &mut entry).unwrap();
    assert_ne!(entry, [0; 16], "the second half is in the second frame");
}

#[test]
fn the_control_block_is_host_virtual_too() {
    let (rig, home) = rig();
    let execute = |uvc, at| rig.machine.execute_at(uvc, at);
    let fault = |code: PgmCode| {
        move |result: Result<Cc, crate::abi::uvc::ProgramInterruption>| result.unwrap_err().code == code
    };
    let page = fault(PgmCode::PAGE_TRANSLATION);
    let at = VIRTUAL + 0xff8;
    let mut block = NoData::new(UvCommand::VERIFY_IMG, 7);
    rig.host.write(HostAddr(0x50_0ff8), &block.as_bytes()[..8]).unwrap();
    rig.host.write(HostAddr(0x60_0000), &block.as_bytes()[8..]).unwrap();

    assert!(fault(PgmCode::PRIVILEGED_OPERATION)(execute(Uvc { problem_state: true, ..Uvc::default() }, at)));
    assert!(fault(PgmCode::SPECIFICATION)(execute(Uvc { i3: 4, ..Uvc::default() }, at)));
    let first = execute(Uvc::default(), at).unwrap_err();
    assert_eq!((first.code, first.teid.unwrap().page()), (PgmCode::PAGE_TRANSLATION, VIRTUAL));
    home.map(0, 0x50_0000);
    let second = execute(Uvc::default(), at).unwrap_err();
    assert_eq!((second.code, second.teid.unwrap().page()), (PgmCode::PAGE_TRANSLATION, VIRTUAL + 0x1000));
    home.map(1, 4 * GIB);
    assert!(fault(PgmCode::ADDRESSING)(execute(Uvc::default(), at)));
    home.map(1, 3 * GIB);
    assert!(fault(PgmCode::SECURE_STORAGE_ACCESS)(execute(Uvc::default(), at)), "donated");
    home.0.lock().insert(VIRTUAL + 0x1000, (0x60_0000, false));
    assert!(page(execute(Uvc::default(), at)), "the answer cannot be stored");
    home.map(1, 0x60_0000);
    assert_eq!(execute(Uvc::default(), at), Ok(Cc::Error));
    rig.host.read(HostAddr(0x50_0ff8), &mut block.as_mut_bytes()[..8]).unwrap();
    assert_eq!(block.header.rc(), UvRc::INVALID_CONF_HANDLE);

    // An unknown command is known from its header.
    home.0.lock().remove(&(VIRTUAL + 0x1000));
    rig.host.write(HostAddr(0x50_0ffa), &[0x42, 0x42]).unwrap();
    assert_eq!(execute(Uvc::default(), at), Ok(Cc::Error));
    rig.host.read(HostAddr(0x50_0ff8), &mut block.as_mut_bytes()[..8]).unwrap();
    assert_eq!(block.header.rc(), UvRc::INVALID_COMMAND);
    assert!(page(execute(Uvc::default(), u64::MAX - 3)), "a header at the end of the address space");
    let closed = rig.host.read(HostAddr(3 * GIB), &mut [0]);
    assert_eq!(closed, Err(AccessError::Secure { at: HostAddr(3 * GIB) }));
}
