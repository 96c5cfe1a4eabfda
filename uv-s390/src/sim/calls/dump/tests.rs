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
    assert_eq!(init(), refused(UvRc::STATE), "no header");
    let willing = rig.guest(1);
    let pcf = crate::abi::se_header::PlaintextControlFlags::ALLOW_DUMP;
    rig.unpacked(&willing, pcf);
    assert_eq!(rig.no_data(UvCommand::DUMP_INIT, willing.conf), refused(UvRc::STATE), "not verified");
    rig.unpacked(&guest, crate::abi::se_header::PlaintextControlFlags::PCKMO);
    assert_eq!(rig.no_data(UvCommand::VERIFY_IMG, guest.conf), OK);
    assert_eq!(init(), refused(UvRc::NOT_ALLOWED));
}

fn read(rig: &Rig, at: u64, len: usize) -> vec::Vec<u8> {
    let mut bytes = vec![0; len];
    rig.host.read(HostAddr(at), &mut bytes).unwrap();
    bytes
}

#[test]
fn all_registers_of_a_cpu_are_told() {
    let rig = Rig::ready(Generation::Z17);
    let guest = rig.guest(0);
    let (cpu, fresh) = (rig.cpu(&guest, 0), rig.cpu(&guest, 1));
    rig.verified(&guest);
    let core = rig.machine.cpu(cpu.handle).unwrap();
    let mut expected = crate::abi::dump::CpuState::default();
    {
        let mut core = core.core.lock();
        core.timer = Some(crate::sim::cpu::TimerMark { timer: 0x1234_5678_9abc, at: 5 });
        let to = &mut core.registers;
        (to.gr, to.cr, to.ar) = ([0x11; 16], [0x22; 16], [0x33; 16]);
        (to.psw, to.prefix, to.fpc) = (crate::abi::psw::Psw::new(0x44, 0x55), 0x6_6000, 0x77);
        (to.vr, to.tod_programmable, to.clock_comparator) = ([[0x88; 16]; 32], 0x99, 0xaa00);
        (expected.gprs, expected.control_registers, expected.access_registers) = (to.gr, to.cr, to.ar);
        (expected.psw_mask, expected.psw_address) = (0x44, 0x55);
        (expected.prefix, expected.fpc, expected.tod_programmable) = (to.prefix, to.fpc, to.tod_programmable);
        (expected.vector_registers, expected.clock_comparator) = (to.vr, to.clock_comparator);
        expected.cpu_timer = 0x1234_5678_9abc;
    }
    let len = usize::try_from(rig.info.cpu_stor_len.get()).unwrap();
    rig.host.write(HostAddr(AREA), &vec![0xee; 3 * len]).unwrap();
    let dump = |cpu: crate::sim::rig::Vcpu, at| rig.call(&mut DumpCpu::new(cpu.handle, at));
    let mut notes = vec::Vec::new();
    let mut keys = vec::Vec::new();
    for _ in 0..2 {
        assert_eq!(rig.no_data(UvCommand::DUMP_INIT, guest.conf), OK);
        assert_eq!([dump(cpu, AREA), dump(fresh, AREA + 0x10_0000)], [OK; 2]);
        let busy = core.core.lock();
        assert_eq!(dump(cpu, AREA).0, crate::abi::uvc::Cc::Busy);
        assert_eq!(dump(cpu, guest.create.conf_base_stor_origin.get()), refused(UvRc::INVALID_ABSOLUTE), "first");
        drop(busy);
        assert_eq!(rig.call(&mut DumpComplete::new(guest.conf, AREA + 0x20_0000)), OK);
        let completion = CompletionBlock::parse(&read(&rig, AREA + 0x20_0000, 0x1000)).unwrap();
        assert_ne!(completion.iv, [0; 12]);
        keys.push(completion.open(&Cck::new([9; 32])).unwrap().0);
        notes.push([AREA, AREA + 0x10_0000].map(|at| CpuNote::parse(&read(&rig, at, 0x1000)).unwrap()));
    }
    for ([note, of_fresh], key) in notes.iter().zip(&keys) {
        assert!(note.open(key).unwrap() == expected);
        assert_eq!(of_fresh.open(key).unwrap().cpu_timer, 0, "it never ran");
    }
    assert!(notes[0][0].open(&keys[1]).is_err(), "a key for each dump");
    let area = read(&rig, AREA, 2 * len);
    let (here, behind) = area.split_at(len);
    assert_eq!(here.iter().rposition(|byte| *byte != 0).map(|last| last < size_of::<CpuNote>()), Some(true), "zeros");
    assert!(behind.iter().all(|byte| *byte == 0xee));
}

/// Whether a host access to each of these guest pages is refused: they are private still.
fn private(rig: &Rig, guest: &crate::sim::rig::Guest, pages: &[u64]) -> vec::Vec<bool> {
    pages.iter().map(|page| rig.is_closed(guest.base + page)).collect()
}

#[test]
fn a_mib_is_dumped_and_no_page_besides_it() {
    use crate::abi::sie::{HostMapping, MappingSize};
    const MIB: u64 = 1 << 20;
    let rig = Rig::ready(Generation::Z17);
    let (guest, other) = (rig.guest(0), rig.guest(1));
    rig.verified(&guest);
    let (inside, around) = ([MIB, MIB + 0x8_0000, 2 * MIB - 0x1000], [MIB - 0x1000, 2 * MIB]);
    for page in inside.into_iter().chain(around) {
        assert_eq!([rig.import(&guest, page), rig.import(&other, page)], [OK; 2]);
    }
    let storage = |at, gaddr| rig.call(&mut DumpStorageState::new(guest.conf, at, gaddr));
    assert_eq!(rig.no_data(UvCommand::DUMP_INIT, guest.conf), OK);
    assert_eq!(storage(guest.create.conf_base_stor_origin.get(), MIB), refused(UvRc::INVALID_ABSOLUTE));
    assert_eq!(private(&rig, &guest, &inside), [true; 3], "nothing was exported for a dump that was refused");
    // The tables lead to a page of the next MiB, and one is not mapped at all.
    let frame = HostAddr(guest.base + 2 * MIB);
    let astray = HostMapping { frame, writable: true, size: MappingSize::Page };
    guest.tables.moved.lock().extend([(inside[1], Some(astray)), (inside[2], None)]);
    // Another guest's frames are of no interest, even while somebody holds them.
    let held = inside.map(|page| rig.machine.storage.claim(HostAddr(other.base + page)).unwrap());
    assert_eq!(storage(AREA, MIB), OK);
    drop(held);
    assert_eq!(private(&rig, &guest, &inside), [false; 3]);
    assert_eq!(private(&rig, &guest, &around), [true; 2]);
    assert_eq!(private(&rig, &other, &inside), [true; 3]);
    let entries = read(&rig, AREA, 0x1000);
    let entry = |page: u64| {
        let at = usize::try_from((page - MIB) >> 12).unwrap() * 16;
        StorageState::decode(entries[at..].first_chunk().unwrap()).unwrap()
    };
    assert!(inside.iter().all(|page| matches!(entry(*page), StorageState::Encrypted(_))));
    assert_eq!(entry(MIB + 0x1000), StorageState::Zero { mapped: true });
    // A page of it in somebody's hands: the call goes on later.
    assert_eq!(rig.call(&mut DumpComplete::new(guest.conf, AREA)), OK);
    guest.tables.moved.lock().clear();
    assert_eq!(rig.import(&guest, MIB), OK);
    assert_eq!(rig.no_data(UvCommand::DUMP_INIT, guest.conf), OK);
    let held = rig.machine.storage.claim(HostAddr(guest.base + MIB)).unwrap();
    assert_eq!(storage(AREA, MIB).0, crate::abi::uvc::Cc::Partial);
    drop(held);
    assert_eq!(storage(AREA, MIB), OK);
}

#[test]
fn behind_the_end_of_guest_storage_nothing_is_mapped() {
    let rig = Rig::ready(Generation::Z17);
    let guest = rig.guest_with(0, |create| create.guest_stor_len = 0x10_3000.into());
    rig.verified(&guest);
    assert_eq!(rig.no_data(UvCommand::DUMP_INIT, guest.conf), OK);
    assert_eq!(rig.call(&mut DumpStorageState::new(guest.conf, AREA, 0x10_0000)), OK);
    let entries = read(&rig, AREA, 0x1000);
    for (page, entry) in entries.chunks_exact(16).enumerate() {
        let state = StorageState::decode(entry.first_chunk().unwrap()).unwrap();
        assert_eq!(state, StorageState::Zero { mapped: page < 3 }, "page {page}");
    }
}
