use crate::abi::dump::StorageState;
use crate::abi::sie::{InterceptionCode, Validity};
use crate::abi::uvc::UvRc;
use crate::abi::uvcb::{CpuState, DumpComplete, DumpCpu, DumpStorageState, Share, UvCommand};
use crate::owner::crypto::Cck;
use crate::owner::dump::{CompletionBlock, CpuNote, DumpMemoryKey};
use crate::sim::rig::{GUEST_LEN, OK, Rig, diag, refused, uvc};
use crate::sim::{Generation, GuestInsn};
use alloc::vec;
use uv_core::{GuestAddr, HostAddr, NormalMemory};
use uv_sim::guest::Step;

/// Host memory for dump areas.
const AREA: u64 = 0x50_0000;

#[test]
fn a_dump_tells_the_owner_everything_and_the_host_nothing() {
    let rig = Rig::ready(Generation::Z17);
    let steps = [
        Step::store(GuestAddr(0x8000), b"private"),
        Step::store(GuestAddr(0x9000), b"shared"),
        uvc(&Share::new(UvCommand::SET_SHARED_ACCESS, 0x9000)),
        Step::store(GuestAddr(0xa000), b"exported"),
        Step::Call(GuestInsn::SetGr { number: 7, value: 0x77 }),
        diag(0x44, [0; 5]),
        diag(0x9c, [0; 5]),
    ];
    let (guest, cpu, _) = rig.booted(0, steps);
    assert_eq!(rig.serve(&guest, cpu).gr(5), 0x44);
    assert_eq!(rig.export(guest.base + 0xa000), OK);
    let init = || rig.no_data(UvCommand::DUMP_INIT, guest.conf);
    let dump_cpu = |at| rig.call(&mut DumpCpu::new(cpu.handle, at));
    let storage = |at, gaddr| rig.call(&mut DumpStorageState::new(guest.conf, at, gaddr));
    let complete = |at| rig.call(&mut DumpComplete::new(guest.conf, at));
    let state = refused(UvRc::STATE);
    assert_eq!([dump_cpu(AREA), storage(AREA, 0), complete(AREA)], [state; 3], "not begun");
    assert_eq!([init(), init()], [OK, state]);
    assert_eq!(rig.enter(&guest, cpu).validity(), Some(Validity::CONF_STATE), "no entry while dumping");

    let closed = guest.create.conf_base_stor_origin.get();
    let inaccessible = refused(UvRc::INVALID_ABSOLUTE);
    assert_eq!([dump_cpu(closed), storage(closed, 0), complete(closed)], [inaccessible; 3]);
    assert_eq!(storage(AREA, 0x1000), refused(UvRc::ADDRESS));
    assert_eq!(storage(AREA, GUEST_LEN), refused(UvRc::ADDRESS));
    assert_eq!([dump_cpu(AREA), storage(AREA + 0x10000, 0), complete(AREA + 0x20000)], [OK; 3]);
    assert_eq!(rig.icpt(&guest, cpu), InterceptionCode::PV_PREFIX, "the dump is over: the guest may go on");
    assert_eq!([0, 0x1000].map(|page| rig.import(&guest, page)), [OK; 2]);
    assert_eq!(rig.serve(&guest, cpu).gr(5), 0x9c);
    assert_eq!([dump_cpu(AREA + 0x30000), complete(AREA + 0x30000)], [state; 2]);
    assert_eq!(rig.set_state(cpu, CpuState::STOPPED), OK);
    assert_eq!(init(), OK, "a new dump");

    let read = |at: u64, len: usize| {
        let mut bytes = vec![0; len];
        rig.host.read(HostAddr(at), &mut bytes).unwrap();
        bytes
    };
    let completion = CompletionBlock::parse(&read(AREA + 0x20000, 0x1000)).unwrap();
    assert!(completion.open(&Cck::new([8; 32])).is_err());
    let (key, secrets) = completion.open(&Cck::new([9; 32])).unwrap();
    let note = CpuNote::parse(&read(AREA, 0x1000)).unwrap().open(&key).unwrap();
    assert_eq!((note.gprs[7], note.psw_address, note.partial_instruction), (0x77, crate::sim::rig::START, true));
    let entries = read(AREA + 0x10000, 0x1000);
    let entry = |page: usize| StorageState::decode(entries[page * 16..].first_chunk().unwrap()).unwrap();
    let memory = DumpMemoryKey::new(&secrets);
    for (page, content) in [(8, &b"private"[..]), (0xa, b"exported")] {
        let StorageState::Encrypted(_) = entry(page) else { panic!("{:?}", entry(page)) };
        let mut bytes = read(guest.base + ((page as u64) << 12), 4096);
        assert!(!bytes.starts_with(content));
        memory.decrypt_page(&entry(page), bytes.as_mut_slice().first_chunk_mut().unwrap());
        assert!(bytes.starts_with(content), "page {page:#x}");
    }
    assert_eq!(entry(9), StorageState::Shared { mapped: true });
    assert!(read(guest.base + 0x9000, 6) == b"shared");
    assert_eq!(entry(0x20), StorageState::Zero { mapped: true });
}

#[test]
fn the_owner_has_to_allow_it() {
    let rig = Rig::ready(Generation::Z17);
    let guest = rig.guest(0);
    let init = || rig.no_data(UvCommand::DUMP_INIT, guest.conf);
    assert_eq!(init(), refused(UvRc::STATE), "not verified");
    rig.unpacked(&guest, crate::abi::se_header::PlaintextControlFlags::PCKMO);
    assert_eq!(rig.no_data(UvCommand::VERIFY_IMG, guest.conf), OK);
    assert_eq!(init(), refused(UvRc::NOT_ALLOWED));
}
