//! A machine over the caller's memory: what the Ultravisor leaves there, what it takes, and what is not there.

use crate::abi::uvc::{Block, Cc, UvCall, UvRc};
use crate::abi::uvcb::{ConvertTo, InitUv, Share, UvCommand};
use crate::sim::rig::{COMPONENT, GIB, MIB, OK, PLAIN, Rig, UV_BASE, refused, uvc};
use crate::sim::{Generation, Machine, MachineConfig, Uvc};
use alloc::sync::Arc;
use uv_core::{AccessError, HostAddr, NormalMemory};
use uv_sim::HostMemory;
use uv_sim::guest::Step;
use zerocopy::IntoBytes;

/// Memory without the MiB where the rig's first guest would have its base storage.
struct Gap(HostMemory);

const GAP: core::ops::Range<u64> = GIB + 64 * MIB..GIB + 65 * MIB;

impl NormalMemory for Gap {
    fn read(&self, at: HostAddr, into: &mut [u8]) -> Result<(), AccessError> {
        self.check(at, into.len() as u64)?;
        self.0.read(at, into)
    }

    fn write(&self, at: HostAddr, from: &[u8]) -> Result<(), AccessError> {
        self.check(at, from.len() as u64)?;
        self.0.write(at, from)
    }

    fn check(&self, at: HostAddr, len: u64) -> Result<(), AccessError> {
        if at.0 < GAP.end && at.0 + len > GAP.start {
            return Err(AccessError::Unmapped { at, len: usize::try_from(len).unwrap() });
        }
        self.0.check(at, len)
    }
}

/// A rig over memory that the test keeps.
fn over<M: NormalMemory + 'static>(memory: M) -> (Rig, Arc<M>) {
    let memory = Arc::new(memory);
    let rig = Rig::made(|config| Machine::with_memory(config, Arc::clone(&memory) as Arc<dyn NormalMemory>));
    assert_eq!(rig.call(&mut InitUv::new(UV_BASE, rig.info.uv_base_stor_len.get())), OK);
    (rig, memory)
}

fn bytes(memory: &impl NormalMemory, at: u64) -> [u8; 4096] {
    let mut page = [0; 4096];
    memory.read(HostAddr(at), &mut page).unwrap();
    page
}

#[test]
fn the_callers_memory_gets_what_the_host_may_see_and_nothing_else() {
    let (rig, memory) = over(HostMemory::new(4 * GIB));
    let (guest, cpu, _) = rig.booted(0, [uvc(&Share::new(UvCommand::SET_SHARED_ACCESS, COMPONENT + 0x1000))]);
    let [private, shared] = [0, 0x1000].map(|page| guest.base + COMPONENT + page);
    let stored = bytes(&*memory, private);
    assert_ne!(stored, [PLAIN[0]; 4096], "as the owner stored it, while the page is secure");
    rig.serve(&guest, cpu);
    assert_eq!(bytes(&*memory, shared), [PLAIN[1]; 4096], "the guest's shared page is the caller's to read");
    assert_eq!(rig.export(private), OK);
    let sealed = bytes(&*memory, private);
    assert!(sealed != stored && sealed != [PLAIN[0]; 4096]);
    assert_eq!(rig.import(&guest, COMPONENT), OK, "the ciphertext is read back from there");
    assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CPU, cpu.handle), OK);
    assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CONF, guest.conf), OK);
    assert_eq!(bytes(&*memory, private), [0; 4096]);
}

#[test]
fn closed_frames_are_known_without_a_call() {
    let (rig, _memory) = over(HostMemory::new(4 * GIB));
    let closed = rig.machine.closed_frames();
    let bit = |at: u64| {
        let frame = usize::try_from(at >> 12).unwrap();
        closed.words()[frame / 64].load(core::sync::atomic::Ordering::Relaxed) >> (frame % 64) & 1 == 1
    };
    assert!(bit(UV_BASE) && bit(UV_BASE + rig.info.uv_base_stor_len.get() - 1), "donated");
    assert!(!bit(UV_BASE + rig.info.uv_base_stor_len.get()));
    let guest = rig.guest(0);
    let at = guest.base + 0x9000;
    let before = closed.changes();
    assert_eq!(rig.import(&guest, 0x9000), OK);
    assert!(bit(at) && closed.is_closed(HostAddr(at + 0xfff)) && closed.changes() == before + 1);
    assert_eq!(rig.import(&guest, 0x9000), OK);
    assert_eq!(closed.changes(), before + 1, "nothing changed");
    assert_eq!(rig.export(at), OK);
    assert!(!bit(at) && closed.changes() == before + 2);
    assert_eq!(rig.import(&guest, 0x9000), OK);
    rig.machine.load_normal();
    assert!(closed.words().iter().all(|word| word.load(core::sync::atomic::Ordering::Relaxed) == 0));
}

#[test]
fn a_call_on_a_block_in_the_callers_memory() {
    let (rig, memory) = over(HostMemory::new(4 * GIB));
    let block = rig.create_block(0);
    memory.write(HostAddr(0x5ff8), block.as_bytes()).unwrap();
    assert_eq!(rig.machine.execute_at(Uvc::default(), 0x5ff8), Ok(Cc::Done));
    let mut answer = [0; 2];
    memory.read(HostAddr(0x5ffc), &mut answer).unwrap();
    assert_eq!(answer, [0, 1], "rc, in the caller's memory");
    assert!(block.header().rc() != UvRc::EXECUTED);
}

#[test]
fn what_the_caller_has_no_memory_for_is_no_frame() {
    let (rig, _memory) = over(Gap(HostMemory::new(4 * GIB)));
    assert_eq!(rig.call(&mut rig.create_block(0)), refused(UvRc::CONF_BASE));
    let guest = rig.guest(1);
    let mapping = crate::abi::sie::HostMapping {
        frame: HostAddr(GAP.start),
        writable: true,
        size: crate::abi::sie::MappingSize::Page,
    };
    guest.tables.moved.lock().insert(0x5000, Some(mapping));
    assert_eq!(rig.import(&guest, 0x5000), refused(UvRc::INVALID_ABSOLUTE));
    assert_eq!(rig.export(GAP.start), refused(UvRc::INVALID_ABSOLUTE));
    let outside = |at| matches!(rig.host.check(HostAddr(at), 1), Err(AccessError::Unmapped { .. }));
    assert!(outside(GAP.start) && !outside(GAP.end));
}

#[test]
fn the_machine_has_no_more_than_its_size_of_larger_memory() {
    let memory = Arc::new(HostMemory::new(4 * GIB));
    let config = MachineConfig { generation: Generation::Z16, memory: 3 * GIB, ..MachineConfig::new(7) };
    let machine = Machine::with_memory(config, memory);
    let host = machine.host_memory();
    assert_eq!(host.size(), 3 * GIB);
    assert_eq!(host.check(HostAddr(3 * GIB - 1), 1), Ok(()));
    assert_eq!(host.check(HostAddr(3 * GIB - 1), 2), Err(AccessError::Unmapped { at: HostAddr(3 * GIB - 1), len: 2 }));
    let len = machine.generation().query(crate::abi::uvcb::Role::Host).uv_base_stor_len.get();
    let mut block = InitUv::new(3 * GIB, len);
    assert_eq!(machine.uv_call(block.as_mut_bytes()), Ok(Cc::Error));
    assert_eq!(block.header().rc(), UvRc::INIT_STORAGE);
}

#[test]
fn a_program_sees_its_memory_through_a_gap_as_the_host_gives_it() {
    let (rig, memory) = over(Gap(HostMemory::new(4 * GIB)));
    let (guest, cpu, seen) = rig.boot(
        rig.guest(1),
        [Step::store(uv_core::GuestAddr(0x9000), b"kept"), Step::load(uv_core::GuestAddr(0x9000), 4)],
    );
    rig.serve(&guest, cpu);
    assert_eq!(crate::sim::rig::loaded(&seen.lock()[1]), b"kept");
    assert_eq!(bytes(&*memory, guest.base + 0x9000), [0; 4096]);
}

#[test]
fn a_guest_behind_tables_in_the_callers_memory() {
    let (rig, memory) = over(HostMemory::new(4 * GIB));
    let mut create = rig.create_block(0);
    // A segment table whose first entry is a page table: guest page n lies n frames behind 1 GiB.
    let (segments, pages) = (GIB + 40 * MIB, GIB + 41 * MIB);
    (0..2048).for_each(|n| memory.write(HostAddr(segments + n * 8), &0x20_u64.to_be_bytes()).unwrap());
    memory.write(HostAddr(segments), &pages.to_be_bytes()).unwrap();
    (0..256).for_each(|n| memory.write(HostAddr(pages + n * 8), &(GIB + n * 0x1000).to_be_bytes()).unwrap());
    create.guest_asce = (segments | 0x103).into();
    assert_eq!(rig.call(&mut create), OK);
    let mut import = ConvertTo::new(UvCommand::CONV_TO_SEC_STOR, create.guest_handle.get(), 0x5000);
    assert_eq!(rig.call(&mut import), refused(UvRc::NOT_MAPPED), "nobody walks");
    rig.machine.walk_tables(true);
    assert_eq!(rig.call(&mut import), OK);
    assert!(rig.is_closed(GIB + 0x5000));
    let beyond = rig.call(&mut ConvertTo::new(UvCommand::CONV_TO_SEC_STOR, create.guest_handle.get(), MIB));
    assert_eq!(beyond, refused(UvRc::NOT_MAPPED));
}
