//! `KVM_S390_MEM_OP` and storage keys: limits, order of checks, program interruption codes.

use uv_core::{Gfn, GuestAddr};
use uv_s390::abi::Errno;
use uv_s390::abi::psw::Psw;
use uv_s390::hypervisor::kernel::{Irq, Vm};
use uv_s390::hypervisor::uapi::{
    Argument, KvmPv, KvmRun, MemOp, SKeys, Target, client, mem_op as op, mem_op_flags as flags, request,
};
use uv_s390::sim::Generation;
use zerocopy::IntoBytes;

use crate::rig::{PAGES, Rig, Room};

const VM: Target = Target::Vm;
const CPU: Target = Target::Vcpu(0);
const END: u64 = PAGES << 12;
const PROTECTION: Result<u64, Errno> = Ok(4);
const ADDRESSING: Result<u64, Errno> = Ok(5);

fn issue(guest: &Vm, target: Target, op: MemOp, data: &mut [u8], old: &mut [u8]) -> Result<u64, Errno> {
    let mut block = op;
    let mut argument = Argument { value: 0, block: block.as_mut_bytes(), data, buffer: old };
    guest.ioctl(target, request::MEM_OP, &mut argument)
}

fn go(guest: &Vm, target: Target, op: MemOp, data: &mut [u8]) -> Result<u64, Errno> {
    issue(guest, target, op, data, &mut [])
}

fn set_keys(guest: &Vm, first: u64, keys: &mut [u8]) -> Result<u64, Errno> {
    skeys(guest, request::SET_SKEYS, SKeys::new(first, keys.len() as u64), keys)
}

fn skeys(guest: &Vm, number: u32, asked: SKeys, keys: &mut [u8]) -> Result<u64, Errno> {
    let mut block = asked;
    let mut argument = Argument { value: 0, block: block.as_mut_bytes(), data: keys, buffer: &mut [] };
    guest.ioctl(VM, number, &mut argument)
}

fn byte(guest: &Vm, at: u64) -> u8 {
    let mut byte = [0];
    guest.storage().read(GuestAddr(at), &mut byte).expect("guest storage");
    byte[0]
}

#[test]
fn absolute_operations_have_limits_and_an_order() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    let mut data = vec![7; 65537];
    for kind in [op::ABSOLUTE_READ, op::ABSOLUTE_WRITE] {
        let new = |size| MemOp::new(kind, 0x10_0000, size);
        assert_eq!(go(&guest, VM, new(0), &mut data), Err(Errno::EINVAL));
        assert_eq!(go(&guest, VM, new(65536), &mut data), Ok(0));
        assert_eq!(go(&guest, VM, new(65537), &mut data), Err(Errno::E2BIG));
        assert_eq!(go(&guest, VM, new(65537).with_flags(8), &mut data), Err(Errno::EINVAL), "flags come first");
        assert_eq!(go(&guest, VM, new(4).with_flags(flags::INJECT_EXCEPTION), &mut data), Err(Errno::EINVAL));
        let key = |key| new(4).with_flags(flags::SKEY_PROTECTION).with_access(0, key);
        let other_key = if kind == op::ABSOLUTE_READ { Ok(0) } else { PROTECTION };
        assert_eq!([15, 16].map(|k| go(&guest, VM, key(k), &mut data)), [other_key, Err(Errno::EINVAL)]);
        assert_eq!(go(&guest, VM, new(4).with_access(99, 99), &mut data), Ok(0), "ignored without the flag");
        assert_eq!(go(&guest, VM, new(4), &mut [0; 3]), Err(Errno::EFAULT));
        assert_eq!(go(&guest, VM, MemOp::new(kind, END, 4), &mut [0; 3]), ADDRESSING, "before the copy");
        assert_eq!(go(&guest, CPU, new(4), &mut data), Err(Errno::EINVAL), "no vCPU's operation");
    }
    let mut short = MemOp::new(op::ABSOLUTE_READ, 0, 4);
    let mut argument = Argument { block: &mut short.as_mut_bytes()[..63], ..Argument::default() };
    assert_eq!(guest.ioctl(VM, request::MEM_OP, &mut argument), Err(Errno::EFAULT));
    for kind in [op::LOGICAL_READ, op::SIDA_READ, 7] {
        assert_eq!(go(&guest, VM, MemOp::new(kind, 0, 4), &mut data), Err(Errno::EINVAL));
    }
    guest.enable().unwrap();
    for kind in [op::ABSOLUTE_READ, op::ABSOLUTE_WRITE, op::ABSOLUTE_CMPXCHG] {
        assert_eq!(go(&guest, VM, MemOp::new(kind, 0, 4), &mut data), Err(Errno::EINVAL), "protected");
    }
    let logical = MemOp::new(op::LOGICAL_READ, 0, 4);
    assert_eq!(go(&guest, CPU, logical, &mut data), Err(Errno::EINVAL));
    assert_eq!(go(&guest, CPU, logical.with_flags(flags::CHECK_ONLY), &mut data), Err(Errno::EINVAL));
}

#[test]
fn absolute_operations_at_the_end_of_storage() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(0);
    let at = |kind| MemOp::new(kind, END - 2, 4);
    let mut data = [1, 2, 3, 4];
    assert_eq!(go(&guest, VM, at(op::ABSOLUTE_WRITE), &mut data), ADDRESSING);
    assert_eq!([byte(&guest, END - 2), byte(&guest, END - 1)], [1, 2], "the page before is written");
    let mut back = [9; 4];
    assert_eq!(go(&guest, VM, at(op::ABSOLUTE_READ), &mut back), ADDRESSING);
    assert_eq!(back, [9; 4], "nothing is copied out");
    assert_eq!(go(&guest, VM, MemOp::new(op::ABSOLUTE_READ, u64::MAX, 4), &mut back), ADDRESSING);
    let check = |at: MemOp, key| {
        let flags = flags::CHECK_ONLY | flags::SKEY_PROTECTION;
        go(&guest, VM, at.with_flags(flags).with_access(0, key), &mut [])
    };
    assert_eq!(check(at(op::ABSOLUTE_READ), 0), Ok(0), "the first byte alone");
    assert_eq!(check(at(op::ABSOLUTE_READ), 1), ADDRESSING);
    assert_eq!(check(MemOp::new(op::ABSOLUTE_READ, END, 4), 0), ADDRESSING);
    assert_eq!(go(&guest, VM, MemOp::new(op::ABSOLUTE_WRITE, 0x10_0000, 4).with_flags(1), &mut []), Ok(0), "no buffer");
    assert_eq!(byte(&guest, 0x10_0000), 0);
}

#[test]
fn access_keys_open_what_storage_keys_close() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(0);
    let go = |kind, at, key, extra| {
        let op = MemOp::new(kind, at, 4).with_flags(flags::SKEY_PROTECTION | extra).with_access(0, key);
        go(&guest, VM, op, &mut [0; 4])
    };
    let (read, write) = (op::ABSOLUTE_READ, op::ABSOLUTE_WRITE);
    assert_eq!([go(read, 0x3000, 1, 0), go(write, 0x3000, 1, 0)], [Ok(0), PROTECTION], "all keys are 0");
    // Page 3: key 1, fetch protected; page 4: key 2.
    assert_eq!(set_keys(&guest, 3, &mut [0x18, 0x20]), Ok(0));
    for extra in [0, flags::CHECK_ONLY] {
        for (at, key, fetch, store) in [
            (0x3000, 0, Ok(0), Ok(0)),
            (0x3000, 1, Ok(0), Ok(0)),
            (0x3000, 2, PROTECTION, PROTECTION),
            (0x4000, 0, Ok(0), Ok(0)),
            (0x4000, 1, Ok(0), PROTECTION),
            (0x4000, 2, Ok(0), Ok(0)),
            (0x3ffe, 1, Ok(0), PROTECTION),
            (0x3ffe, 2, PROTECTION, PROTECTION),
        ] {
            assert_eq!([go(read, at, key, extra), go(write, at, key, extra)], [fetch, store], "{at:#x}, key {key}");
        }
    }
}

#[test]
fn storage_keys_are_set_and_got() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(0);
    let get = |asked, len| {
        let mut keys = vec![0xee; len];
        (skeys(&guest, request::GET_SKEYS, asked, &mut keys), keys)
    };
    assert_eq!(get(SKeys::new(0, 2), 2), (Ok(1), vec![0xee; 2]), "none are used");
    assert_eq!(get(SKeys::new(0, 0), 2).0, Ok(1), "and nothing else is looked at");
    assert_eq!(set_keys(&guest, 5, &mut [0x10, 0x3a, 0x21, 0x40]), Err(Errno::EINVAL), "bit 7");
    assert_eq!(get(SKeys::new(4, 5), 5), (Ok(0), vec![0, 0x10, 0x3a, 0, 0]), "those before it are set");
    assert_eq!(guest.storage_key(Gfn(6)), Ok(0x3a));
    let flagged = SKeys { flags: 1.into(), ..SKeys::new(0, 1) };
    for number in [request::GET_SKEYS, request::SET_SKEYS] {
        assert_eq!(skeys(&guest, number, flagged, &mut [0; 1]), Err(Errno::EINVAL));
        assert_eq!(skeys(&guest, number, SKeys::new(0, 0), &mut [0; 1]), Err(Errno::EINVAL));
        assert_eq!(skeys(&guest, number, SKeys::new(0, SKeys::MAX + 1), &mut [0; 1]), Err(Errno::EINVAL));
        assert_eq!(skeys(&guest, number, SKeys::new(0, 2), &mut [0; 1]), Err(Errno::EFAULT));
        assert_eq!(skeys(&guest, number, SKeys::new(PAGES - 1, 2), &mut [0; 2]), Err(Errno::EFAULT), "no such page");
        assert_eq!(skeys(&guest, number, SKeys::new(u64::MAX, 2), &mut [0; 2]), Err(Errno::EFAULT));
    }
}

#[test]
fn an_exchange_takes_place_where_the_old_value_is() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(0);
    let at = 0x10_0000;
    let xchg = |op: MemOp, new: &[u8], old: &mut [u8]| issue(&guest, VM, op, &mut new.to_vec(), old);
    let new = |at, size| MemOp::new(op::ABSOLUTE_CMPXCHG, at, size);
    for size in [1_u32, 2, 4, 8, 16] {
        let len = usize::try_from(size).unwrap();
        guest.storage().write(GuestAddr(at), &[0xaa; 17]).unwrap();
        let mut old = vec![0xaa; len];
        assert_eq!(xchg(new(at, size), &vec![0xbb; len], &mut old), Ok(0));
        let mut now = [0; 17];
        guest.storage().read(GuestAddr(at), &mut now).unwrap();
        assert_eq!((&now[..len], &now[len..]), (&vec![0xbb; len][..], &vec![0xaa; 17 - len][..]), "{size} bytes");
        assert_eq!(old, vec![0xaa; len], "unchanged: it took place");
        assert_eq!(xchg(new(at, size), &vec![0xcc; len], &mut old), Ok(0));
        assert_eq!((old, byte(&guest, at)), (vec![0xbb; len], 0xbb), "it did not: what was found");
    }
    let (value, mut old) = ([0; 32], [0; 32]);
    for size in [3, 5, 12, 15] {
        // A multiple of all of them.
        assert_eq!(xchg(new(0x3c_0000, size), &value, &mut old), Err(Errno::EINVAL), "{size}");
    }
    assert_eq!(xchg(new(at, 0), &value, &mut old), Err(Errno::EINVAL));
    assert_eq!(xchg(new(at, 17), &value[..3], &mut old), Err(Errno::EINVAL), "before the copy");
    assert_eq!(xchg(new(at, 65537), &value, &mut old), Err(Errno::E2BIG));
    assert_eq!(xchg(new(at + 2, 4), &value, &mut old), Err(Errno::EINVAL), "alignment");
    assert_eq!(xchg(new(END, 4), &value, &mut old), ADDRESSING);
    assert_eq!(xchg(new(END + 1, 4), &value, &mut old), ADDRESSING, "before alignment");
    assert_eq!(xchg(new(END, 4), &value[..3], &mut old), Err(Errno::EFAULT));
    assert_eq!(xchg(new(END, 4), &value, &mut old[..3]), Err(Errno::EFAULT));
    assert_eq!(xchg(new(at, 4).with_flags(flags::CHECK_ONLY), &value, &mut old), Err(Errno::EINVAL));
    // A key that fits is needed also when nothing is exchanged.
    set_keys(&guest, at >> 12, &mut [0x20]).unwrap();
    let keyed = |key| new(at, 4).with_flags(flags::SKEY_PROTECTION).with_access(0, key);
    let mut old = [1; 4];
    assert_eq!((xchg(keyed(1), &value, &mut old), old), (PROTECTION, [1; 4]));
    assert_eq!((xchg(keyed(2), &value, &mut old), old), (Ok(0), [0xbb, 0xbb, 0xbb, 0xbb]));
}

#[test]
fn logical_operations_have_limits_and_an_order() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    let all = flags::INJECT_EXCEPTION | flags::SKEY_PROTECTION;
    for kind in [op::LOGICAL_READ, op::LOGICAL_WRITE] {
        let new = |size| MemOp::new(kind, 0x10_0000, size);
        let mut data = vec![0; 65537];
        assert_eq!(go(&guest, CPU, new(0), &mut data), Err(Errno::EINVAL));
        assert_eq!(go(&guest, CPU, new(65537), &mut data), Err(Errno::E2BIG));
        assert_eq!(go(&guest, CPU, new(65536).with_flags(all), &mut data), Ok(0));
        assert_eq!(go(&guest, CPU, new(4).with_flags(8), &mut data), Err(Errno::EINVAL));
        assert_eq!(go(&guest, CPU, new(4).with_access(16, 0), &mut data), Err(Errno::EINVAL), "access register");
        assert_eq!(go(&guest, CPU, new(4).with_access(15, 0), &mut data), Ok(0));
        assert_eq!(go(&guest, CPU, new(4), &mut [0; 3]), Err(Errno::EFAULT));
        assert_eq!(go(&guest, CPU, new(4).with_flags(flags::CHECK_ONLY), &mut []), Ok(0));
        assert_eq!(go(&guest, Target::Vcpu(1), new(4), &mut data), Err(Errno::EINVAL), "no such CPU");
        assert_eq!(go(&guest, VM, new(4), &mut data), Err(Errno::EINVAL));
    }
}

/// An ordinary CPU with this PSW mask.
fn with_psw(guest: &Vm, mask: u64, change: impl Fn(&mut uv_s390::abi::sie::StateDescription)) {
    guest
        .change_registers(0, |_, state| {
            state.psw = Psw::new(mask, 0);
            change(state);
        })
        .expect("a CPU");
}

const MODE_64: u64 = 1 << 32 | 1 << 31;
const DAT: u64 = 1 << 58;

#[test]
fn real_addresses_are_prefixed_and_cut_to_the_addressing_mode() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    for (at, value) in [(0x10_0123, 1), (0x123, 2), (0x20_0123, 3)] {
        guest.storage().write(GuestAddr(at), &[value]).unwrap();
    }
    let read = |at| {
        let mut byte = [0];
        go(&guest, CPU, MemOp::new(op::LOGICAL_READ, at, 1), &mut byte).map(|code| (code, byte[0]))
    };
    with_psw(&guest, MODE_64, |state| state.set_prefix_address(0x10_0000));
    assert_eq!([read(0x123), read(0x10_0123), read(0x20_0123)], [Ok((0, 1)), Ok((0, 2)), Ok((0, 3))]);
    assert_eq!(read(0x1_0020_0123), Ok((5, 0)), "64-bit mode");
    assert_eq!(read(0x8020_0123), Ok((5, 0)));
    with_psw(&guest, 1 << 31, |_| ());
    assert_eq!(read(0x8020_0123), Ok((0, 3)), "31-bit mode");
    assert_eq!(read(0x0120_0123), Ok((5, 0)));
    with_psw(&guest, 0, |_| ());
    assert_eq!(read(0xff20_0123), Ok((0, 3)), "24-bit mode");
    // The second page of the prefix area, and what lies behind both.
    with_psw(&guest, MODE_64, |_| ());
    guest.storage().write(GuestAddr(0x10_1fff), &[4, 5]).unwrap();
    let mut two = [0; 2];
    assert_eq!(go(&guest, CPU, MemOp::new(op::LOGICAL_READ, 0x1fff, 2), &mut two), Ok(0));
    assert_eq!(two, [4, byte(&guest, 0x2000)]);
}

#[test]
fn low_addresses_and_keys_protect_logical_storage() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    let with = |kind, at, len, key| {
        let op = MemOp::new(kind, at, len).with_flags(flags::SKEY_PROTECTION | flags::CHECK_ONLY).with_access(0, key);
        go(&guest, CPU, op, &mut [])
    };
    let (read, write) = (op::LOGICAL_READ, op::LOGICAL_WRITE);
    let (lap, fpo, spo) = (1 << 28, 1 << 25, 1 << 24);
    with_psw(&guest, MODE_64, |state| state.crs[0] = lap.into());
    for (at, len, result) in [
        (0, 4, PROTECTION),
        (511, 1, PROTECTION),
        (512, 4, Ok(0)),
        (4095, 2, PROTECTION),
        (4096 + 511, 1, PROTECTION),
        (4096 + 512, 1, Ok(0)),
        (8192, 1, Ok(0)),
    ] {
        assert_eq!(with(write, at, len, 0), result, "{at}");
        assert_eq!(with(read, at, len, 0), Ok(0));
    }
    set_keys(&guest, 0, &mut [0x18, 0x98]).unwrap();
    with_psw(&guest, MODE_64, |state| state.crs[0] = 0.into());
    assert_eq!([with(read, 0, 4, 2), with(read, 0, 4, 1), with(read, 0, 4, 0)], [PROTECTION, Ok(0), Ok(0)]);
    assert_eq!([with(write, 0, 4, 2), with(write, 0x1000, 4, 2)], [PROTECTION; 2]);
    with_psw(&guest, MODE_64, |state| state.crs[0] = fpo.into());
    assert_eq!([with(read, 0, 4, 2), with(read, 2044, 4, 2), with(read, 2045, 4, 2)], [Ok(0), Ok(0), PROTECTION]);
    assert_eq!(with(write, 0, 4, 2), PROTECTION, "fetches only");
    with_psw(&guest, MODE_64, |state| state.crs[0] = spo.into());
    assert_eq!([with(write, 0, 4, 2), with(write, 0x1000, 4, 2)], [PROTECTION, Ok(0)], "key 9 alone");
}

/// Tables at 1 MiB: segments, pages, region third, second, first.
const SEGMENTS: u64 = 0x10_0000;
const PAGE_TABLE: u64 = 0x10_4000;
const THIRD: u64 = 0x10_8000;
const SECOND: u64 = 0x10_c000;
const FIRST: u64 = 0x11_0000;
const TARGET: u64 = 0x20_0000;

fn tables(guest: &Vm) {
    let put = |at: u64, entry: u64| guest.storage().write(GuestAddr(at), &entry.to_be_bytes()).expect("guest storage");
    for table in [SEGMENTS, PAGE_TABLE, THIRD, SECOND, FIRST] {
        for at in (table..table + 0x4000).step_by(8) {
            put(at, 0x420);
        }
    }
    put(SEGMENTS, PAGE_TABLE);
    put(SEGMENTS + 2 * 8, TARGET | 0x400);
    put(SEGMENTS + 3 * 8, PAGE_TABLE | 0x200);
    put(SEGMENTS + 4 * 8, PAGE_TABLE | 0x10);
    put(SEGMENTS + 5 * 8, PAGE_TABLE | 0x04);
    put(SEGMENTS + 6 * 8, END);
    put(SEGMENTS + 512 * 8, PAGE_TABLE);
    for (page, entry) in [(5, TARGET + 0x3000), (6, TARGET + 0x200), (8, TARGET | 0x800), (9, END), (10, 0)] {
        put(PAGE_TABLE + page * 8, entry);
    }
    // Region third: the whole segment table; only its second quarter; protected; 2 GiB as a frame.
    put(THIRD, SEGMENTS | 0x04 | 3);
    put(THIRD + 8, SEGMENTS | 0x04 | 0x40 | 1);
    put(THIRD + 2 * 8, SEGMENTS | 0x04 | 0x200 | 3);
    put(THIRD + 3 * 8, 0x400 | 0x04);
    put(THIRD + 4 * 8, 0x400 | 0x04 | 0x10);
    put(SECOND, THIRD | 0x08 | 3);
    put(FIRST, SECOND | 0x0c | 3);
    for (at, value) in [(TARGET + 0x3123, 0x77), (TARGET + 0x123, 0x66)] {
        guest.storage().write(GuestAddr(at), &[value]).expect("guest storage");
    }
}

/// Logical page 0 leads to the target.
fn put_page_zero(guest: &Vm) {
    guest.storage().write(GuestAddr(PAGE_TABLE), &TARGET.to_be_bytes()).expect("guest storage");
}

#[test]
fn guest_tables_are_walked() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    tables(&guest);
    let edat = 1_u64 << 23;
    let space = |asce: u64, cr0: u64| {
        with_psw(&guest, MODE_64 | DAT, |state| {
            state.set_prefix_address(0x18_0000);
            (state.crs[0], state.crs[1]) = (cr0.into(), asce.into());
        });
    };
    let read = |at| {
        let mut byte = [0];
        go(&guest, CPU, MemOp::new(op::LOGICAL_READ, at, 1), &mut byte).map(|code| (code, byte[0]))
    };
    let write = |at| go(&guest, CPU, MemOp::new(op::LOGICAL_WRITE, at, 1), &mut [1]);
    let found = Ok((0, 0x77));
    let code = |code| Ok((code, 0));
    const GIB2: u64 = 1 << 31;

    space(SEGMENTS, edat);
    assert_eq!(read(0x5123), found);
    assert_eq!([write(0x5fff), write(0x6000)], [Ok(0), PROTECTION], "page 6 is protected");
    assert_eq!([read(0x7000), read(0x8000), read(0x9000)], [code(0x11), code(0x12), code(5)]);
    guest.storage().write(GuestAddr(0x18_0010), &[0x55]).unwrap();
    assert_eq!(read(0xa010), Ok((0, 0x55)), "a page table leads to real storage");
    assert_eq!([read(1 << 20), read(GIB2), read((512 << 20) + 0x5123)], [code(0x10), code(0x38), code(0x10)]);
    assert_eq!(read(0x20_0123), Ok((0, 0x66)), "a large segment");
    assert_eq!([write(0x2f_0000), write(0x30_5000)], [Ok(0), PROTECTION]);
    assert_eq!(read(0x30_5123), found);
    assert_eq!([read(0x40_5123), read(0x50_5123), read(0x60_5123)], [found, code(0x12), code(5)]);
    put_page_zero(&guest);
    space(SEGMENTS, edat | 1 << 28);
    assert_eq!((write(0x10), read(0x10)), (PROTECTION, Ok((0, 0))), "low-address protection");
    space(SEGMENTS | 0x100, edat | 1 << 28);
    assert_eq!(write(0x10), Ok(0), "not in a private space");
    space(SEGMENTS | 0x100, edat);
    assert_eq!([read(0x40_5123), read(0x5123)], [code(0x12), found], "a common segment in a private space");
    space(SEGMENTS, 0);
    guest.storage().write(GuestAddr(0x18_0123), &[0x44]).unwrap();
    assert_eq!(read(0x20_0123), Ok((0, 0x44)), "without EDAT its origin is that of a page table");
    assert_eq!(write(0x30_5000), PROTECTION);

    space(THIRD | 0x04, edat);
    assert_eq!([read(0x5123), read(5 * GIB2), read(1 << 42)], [found, code(0x3b), code(0x38)]);
    assert_eq!([read(GIB2 + 0x5123), read(GIB2 + (1024 << 20))], [code(0x10), code(0x10)], "outside of its quarter");
    assert_eq!([read(2 * GIB2 + 0x5123), read(3 * GIB2 + TARGET + 0x3123)], [found, found]);
    assert_eq!([write(2 * GIB2 + 0x5000), write(3 * GIB2 + TARGET)], [PROTECTION, Ok(0)]);
    assert_eq!(read(4 * GIB2 + TARGET + 0x3123), found);
    space(THIRD | 0x104, edat);
    assert_eq!(read(4 * GIB2 + TARGET + 0x3123), code(0x12));
    space(THIRD | 0x04, 0);
    assert_eq!(write(2 * GIB2 + 0x5000), Ok(0), "regions protect with EDAT only");
    assert_eq!(read(512 * GIB2), code(0x3b), "past the first quarter of the table");
    space(SECOND | 0x08, edat);
    assert_eq!([read(0x5123), read(1 << 42), read(1 << 53)], [found, code(0x3a), code(0x38)]);
    space(FIRST | 0x0c, edat);
    assert_eq!([read(0x5123), read(1 << 53), read(1 << 62)], [found, code(0x39), code(0x39)]);
    space(SEGMENTS | 0x04, edat);
    assert_eq!(read(0x5123), code(0x12), "a segment table in place of a region third");
    space(END, edat);
    assert_eq!(read(0x5123), code(5));
    space(0x20, edat);
    assert_eq!(read(TARGET + 0x3123), found, "a real space");
}

#[test]
fn the_psw_selects_the_space() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    tables(&guest);
    let read = |space: u64, ar: u8, alet: u32| {
        guest
            .change_registers(0, |registers, state| {
                state.psw = Psw::new(MODE_64 | DAT | space << 46, 0);
                registers.ars[3] = alet;
                for cr in [1, 7, 13] {
                    state.crs[cr] = END.into();
                }
                state.crs[[1, 1, 7, 13][usize::try_from(space).unwrap()]] = SEGMENTS.into();
                if alet == 1 {
                    (state.crs[1], state.crs[7]) = (END.into(), SEGMENTS.into());
                }
            })
            .unwrap();
        go(&guest, CPU, MemOp::new(op::LOGICAL_READ, 0x5123, 1).with_access(ar, 0), &mut [0])
    };
    assert_eq!([read(0, 3, 2), read(2, 3, 2), read(3, 3, 2)], [Ok(0); 3], "access registers do not matter");
    assert_eq!([read(1, 3, 0), read(1, 3, 1), read(1, 0, 2)], [Ok(0); 3]);
    assert_eq!([read(1, 3, 2), read(1, 3, 1 << 25)], [Ok(0x29), Ok(0x28)]);
}

#[test]
fn a_failed_access_is_injected_when_asked() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    tables(&guest);
    let run = |op: MemOp| {
        with_psw(&guest, MODE_64 | DAT, |state| state.crs[1] = SEGMENTS.into());
        let code = go(&guest, CPU, op, &mut [0; 4]);
        // A new PSW that waits for nothing, so that the guest comes back at once.
        let new = Psw::new(1 << 49 | MODE_64, 0xdead);
        guest.storage().write(GuestAddr(0x1d0), new.as_bytes()).unwrap();
        guest.storage().write(GuestAddr(0x8c), &[0xff; 4]).unwrap();
        guest.storage().write(GuestAddr(0xa0), &[0xff; 16]).unwrap();
        client::run(&*guest, 0, &mut KvmRun::new()).ok();
        let mut seen = [0; 4];
        guest.storage().read(GuestAddr(0x8c), &mut seen).unwrap();
        let mut rest = [0; 16];
        guest.storage().read(GuestAddr(0xa0), &mut rest).unwrap();
        let (ar, teid) = (rest[0], u64::from_be_bytes(rest[8..].try_into().unwrap()));
        (code, u16::from_be_bytes([seen[2], seen[3]]), teid, ar)
    };
    let inject = |kind, at| MemOp::new(kind, at, 4).with_flags(flags::INJECT_EXCEPTION).with_access(3, 0);
    assert_eq!(run(inject(op::LOGICAL_READ, 0x7ffe)), (Ok(0x11), 0x11, 0x7000 | 2 << 10, 3));
    assert_eq!(run(inject(op::LOGICAL_WRITE, 0x7000)), (Ok(0x11), 0x11, 0x7000 | 1 << 10, 3));
    let not_asked = inject(op::LOGICAL_READ, 0x7ffe).with_flags(0);
    assert_eq!(run(not_asked), (Ok(0x11), 0xffff, u64::MAX, 0xff), "nothing is injected");
    assert_eq!(run(inject(op::LOGICAL_WRITE, 0x6abc)), (Ok(4), 4, 0x6000 | 1 << 10 | 4, 3), "bit 61: by DAT");
}

#[test]
fn sida_operations_have_an_order() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    let mut back = [0; 8];
    let sida = |offset, size, flags, data: &mut [u8]| {
        go(&guest, CPU, MemOp::sida(op::SIDA_READ, offset, size).with_flags(flags), data)
    };
    assert_eq!(sida(0, 4, 0, &mut back), Err(Errno::EINVAL), "not protected");
    assert_eq!(sida(u32::MAX - 4, 4, 0, &mut back), Err(Errno::E2BIG), "the length comes before that");
    guest.enable().unwrap();
    assert_eq!(sida(0, 0, 0, &mut back), Err(Errno::EINVAL));
    assert_eq!(sida(0, 4, 1, &mut back), Err(Errno::EINVAL));
    assert_eq!(sida(u32::MAX, 4, 0, &mut back), Err(Errno::EINVAL), "overflow");
    assert_eq!(sida(4093, 4, 0, &mut back), Err(Errno::E2BIG));
    assert_eq!(sida(4092, 4, 0, &mut back), Ok(0));
    assert_eq!(sida(0, 8, 0, &mut back[..7]), Err(Errno::EFAULT));
    client::sida_write(&*guest, 0, 4092, &[5, 6, 7, 8]).unwrap();
    client::sida_read(&*guest, 0, 4092, &mut back[..4]).unwrap();
    assert_eq!(back[..4], [5, 6, 7, 8]);
}

#[test]
fn a_table_that_the_host_cannot_read_is_no_exception_of_the_guest() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    tables(&guest);
    with_psw(&guest, MODE_64 | DAT, |state| {
        (state.crs[0], state.crs[1]) = ((1_u64 << 23).into(), (THIRD | 0x04).into())
    });
    let read = || go(&guest, CPU, MemOp::new(op::LOGICAL_READ, 0x5123, 1), &mut [0]);
    let results = [0, 1, 2, 3, 4].map(|after| {
        rig.fail(Room::Guest, after);
        (read(), rig.fails_still())
    });
    let unreadable = (Err(Errno::EFAULT), false);
    assert_eq!(results, [unreadable, unreadable, unreadable, (PROTECTION, false), (Ok(0), true)]);
}

#[test]
fn an_exception_tells_where_it_was() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    tables(&guest);
    set_keys(&guest, 5, &mut [0x30]).unwrap();
    let pending = |mask: u64, kind, at| {
        let asce = SEGMENTS;
        with_psw(&guest, MODE_64 | mask, |state| {
            (state.crs[0], state.crs[1], state.crs[7]) = ((1_u64 << 28).into(), asce.into(), asce.into());
        });
        let flags = flags::INJECT_EXCEPTION | flags::SKEY_PROTECTION;
        let op = MemOp::new(kind, at, 4).with_flags(flags).with_access(3, 1);
        let code = go(&guest, CPU, op, &mut [0; 4]);
        let pending = guest.pending_interruptions(0).unwrap();
        guest.reset_cpu(0, uv_s390::hypervisor::kernel::CpuReset::Normal).unwrap();
        let [Irq::Program(program)] = pending[..] else { panic!("{pending:?}, {code:?}") };
        assert_eq!(code, Ok(program.code.into()));
        (program.code, program.translation, program.exception_access)
    };
    let (read, write, secondary) = (op::LOGICAL_READ, op::LOGICAL_WRITE, 2 << 46);
    assert_eq!(pending(0, write, 0x105), (4, 1 << 10 | 0x80, 3), "a low address");
    assert_eq!(pending(0, write, 0x5ffe), (4, 0x5000 | 1 << 10 | 8, 3), "a key");
    assert_eq!(pending(DAT | secondary, write, 0x6abc), (4, 0x6000 | 1 << 10 | 4 | 2, 3), "a table");
    assert_eq!(pending(DAT | secondary, read, 0x7abc), (0x11, 0x7000 | 2 << 10 | 2, 3));
    assert_eq!(pending(DAT, read, 0x8abc), (0x12, 0, 0));
    assert_eq!(pending(0, read, END), (5, 0, 0));
    // The address of the page that failed, not of the first.
    assert_eq!(pending(DAT, read, 0x6ffe), (0x11, 0x7000 | 2 << 10, 3));
}
