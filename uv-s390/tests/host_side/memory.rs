//! Memory slots that come and go.

use crate::ordinary::{outcomes, programs};
use crate::rig::Rig;
use uv_core::{Gfn, GuestAddr, HostAddr, MemSlot, MemSlots, NormalMemory, PageSize, SlotError, SlotId};
use uv_s390::abi::Errno;
use uv_s390::abi::psw::Psw;
use uv_s390::abi::sie::InterceptionCode;
use uv_s390::abi::uvcb::UvCommand as C;
use uv_s390::hypervisor::kernel::{HostError, Vm, VmConfig};
use uv_s390::hypervisor::uapi::{Argument, KvmPv, KvmRun, MemoryRegion, Target, client, request};
use uv_s390::sim::Generation;
use uv_sim::guest::{Outcome, Step};
use zerocopy::{FromZeros, IntoBytes};

const MIB: u64 = 1 << 20;
const MEMORY: HostAddr = HostAddr(1 << 30);

fn set(guest: &Vm, slot: u16, at: u64, size: u64, memory: u64) -> Result<(), Errno> {
    client::set_memory(guest, slot, GuestAddr(at), size, HostAddr(MEMORY.0 + memory))
}

#[test]
fn a_vm_gets_its_memory_by_ioctl() {
    let rig = Rig::new(Generation::Z17);
    let config = VmConfig::new(MemSlots::new(PageSize::K4));
    let guest = Vm::new(rig.host.clone(), config).unwrap();
    guest.add_cpu(0).unwrap();
    set(&guest, 0, 0, 2 * MIB, 0).unwrap();
    set(&guest, 7, 4 * MIB, MIB, 8 * MIB).unwrap();
    assert_eq!(guest.slots().end(), Gfn(0x500));
    let program = vec![Step::store(GuestAddr(4 * MIB), b"here"), Step::load(GuestAddr(4 * MIB), 4)];
    let late = vec![Step::load(GuestAddr(5 * MIB), 4)];
    let seen = programs(&rig, &guest, 0, vec![program, late.clone(), late]);
    let mut area = KvmRun::new();
    client::run(&*guest, 0, &mut area).unwrap();
    let mut bytes = [0; 4];
    rig.machine.host_memory().read(HostAddr(MEMORY.0 + 8 * MIB), &mut bytes).unwrap();
    assert_eq!(&bytes, b"here");

    // There is no memory yet: an addressing exception, whose new PSW is a disabled wait.
    let wait = Psw::new(1 << 49, 0xbad);
    guest.storage().write(GuestAddr(0x1d0), wait.as_bytes()).unwrap();
    area.set_psw(Psw::at(0x1000));
    client::run(&*guest, 0, &mut area).unwrap();
    assert_eq!((area.sieic().unwrap().icptcode, area.psw()), (InterceptionCode::WAIT, wait));
    let mut cause = [0; 4];
    guest.storage().read(GuestAddr(0x8c), &mut cause).unwrap();
    assert_eq!(cause, [0, 2, 0, 5], "length and code");
    let mut old = Psw::new_zeroed();
    guest.storage().read(GuestAddr(0x150), old.as_mut_bytes()).unwrap();
    assert_eq!(old.address.get(), 0x1002, "behind the instruction, which is 0x0000 here");
    // Moved, with its content.
    set(&guest, 7, 5 * MIB, MIB, 8 * MIB).unwrap();
    area.set_psw(Psw::at(0x2000));
    client::run(&*guest, 0, &mut area).unwrap();
    assert!(matches!(&outcomes(&seen, 2)[0], Outcome::Loaded(bytes) if bytes[..] == *b"here"));
    assert!(guest.storage().read(GuestAddr(4 * MIB), &mut bytes).is_err(), "no more");
    set(&guest, 7, 0, 0, 0).unwrap();
    assert_eq!(guest.slots().end(), Gfn(0x200));
}

#[test]
fn what_the_kernel_refuses() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest_with(1, |config| config.limit = 16 * MIB);
    let wrong = [
        (1, 8 * MIB + 1, MIB, 0),
        (1, 8 * MIB, MIB - 1, 0),
        (1, 8 * MIB, MIB, 1),
        (1, 8 * MIB + 0x1000, MIB, 0),
        (1, 8 * MIB, MIB + 0x1000, 0),
        (1, 8 * MIB, MIB, 0x1000),
        (1, 16 * MIB, MIB, 0),
        (1, !(MIB - 1), MIB, 0),
        (32767, 8 * MIB, MIB, 0),
        (1, 0, 0, 0),
        (0, 0, MIB, 0),
    ];
    for (slot, at, size, memory) in wrong {
        assert_eq!(set(&guest, slot, at, size, memory), Err(Errno::EINVAL), "{slot} {at:#x} {size:#x} {memory:#x}");
    }
    assert_eq!(set(&guest, 1, 3 * MIB, MIB, 0), Err(Errno::EEXIST));
    let mut region = MemoryRegion {
        slot: 1.into(),
        flags: 1.into(),
        guest_phys_addr: (8 * MIB).into(),
        memory_size: MIB.into(),
        userspace_addr: MEMORY.0.into(),
    };
    let mut argument = Argument { block: region.as_mut_bytes(), ..Argument::default() };
    assert_eq!(guest.ioctl(Target::Vm, request::SET_USER_MEMORY_REGION, &mut argument), Err(Errno::EINVAL));
    let nothing = guest.ioctl(Target::Vm, request::SET_USER_MEMORY_REGION, &mut Argument::default());
    assert_eq!(nothing, Err(Errno::EFAULT));

    let slot = MemSlot { first: Gfn(0x800), pages: 256, host: MEMORY };
    assert_eq!(guest.add_slot(SlotId(0), slot), Err(SlotError::Exists(SlotId(0)).into()));
    assert_eq!(guest.remove_slot(SlotId(5)), Err(HostError::NoSuchSlot(SlotId(5))));
    guest.enable().unwrap();
    assert_eq!(set(&guest, 1, 8 * MIB, MIB, 0), Err(Errno::EINVAL), "protected");
    assert_eq!(set(&guest, 0, 0, 0, 0), Err(Errno::EINVAL), "protected");
    assert_eq!(guest.add_slot(SlotId(1), slot), Err(HostError::Protected));
    assert_eq!(guest.remove_slot(SlotId(0)), Err(HostError::Protected));
    let (_, old) = guest.slots().iter().next().unwrap();
    let same = client::set_memory(&*guest, 0, GuestAddr(0), old.pages << 12, old.host);
    assert_eq!(same, Ok(()), "nothing would change");
    guest.disable().unwrap();
    set(&guest, 1, 8 * MIB, MIB, 0).unwrap();
}

#[test]
fn a_slot_that_goes_takes_no_secret_along() {
    let rig = Rig::new(Generation::Z16);
    let high = 2 << 30;
    let guest = rig.guest_with(1, |config| {
        let slot = MemSlot { first: Gfn(high >> 12), pages: 256, host: MEMORY };
        config.slots.insert(SlotId(1), slot).expect("behind the first");
    });
    rig.verified(&guest);
    uv_core::PageIn::page_in(&*guest, Gfn(high >> 12)).unwrap();
    guest.set_aside().unwrap();
    let memory = rig.machine.host_memory();
    assert!(memory.check(MEMORY, 1).is_err(), "left over");
    rig.log();
    set(&guest, 1, high, 0, 0).unwrap();
    assert_eq!(rig.log(), [C::DESTR_SEC_STOR]);
    assert!(memory.check(MEMORY, MIB).is_ok());
    guest.cleanup(&mut |_| true).unwrap();
    assert_eq!(rig.machine.secure_frames_in_use(), 0);
}
