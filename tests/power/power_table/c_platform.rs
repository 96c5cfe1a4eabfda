//! Rows C: restricted registers, SCOM, platform memory, self boot engine.

use uv_core::{HostAddr, NormalMemory};
use uv_power::abi::numbers::UltracallNumber;
use uv_power::abi::ultracall::call;
use uv_power::abi::{Profile, UvCode};
use uv_power::sim::{PlatformRange, ScomList};

use crate::rig::*;

rows! { c01 c02 c03 c04 c05 c06 c07 c08 c09 c10 c11 c12 c13 c14 c15 c16 }

const JUNK: u64 = 0x55;

/// Calls with R7 … untouched; gives code, R4 and R5.
fn out(rig: &Rig, number: UltracallNumber, args: &[u64]) -> (UvCode, u64, u64) {
    let (code, regs) = call(&rig.machine, number, args);
    (code, regs.gpr[4], regs.gpr[5])
}

/// A machine with one chip; the access list allows address 0x1000 where it is enforced.
fn chip(profile: Profile) -> Rig {
    let rig = Rig::new(profile);
    rig.machine.with_scom(|scom| {
        scom.add_register(8, 0x1000, 0xabcd);
        scom.add_register(8, 1 << 63 | 0x1000, 0x12);
        scom.add_register(8, 0x2000, 0x77);
        scom.load_list(ScomList { white: [0x1000].into(), black: [0x2000].into(), grey: [(0x3000, 1)].into() });
    });
    rig
}

fn c01() {
    both(|p| {
        let rig = Rig::new(p);
        assert_eq!(rig.call(UltracallNumber::UV_RESTRICTED_SPR_WRITE, &[0xb4, 0x99]), UvCode::U_SUCCESS);
        assert_eq!(out(&rig, UltracallNumber::UV_RESTRICTED_SPR_READ, &[0xb4, JUNK]), (UvCode::U_SUCCESS, 0xb4, 0x99));
    });
}

fn c02() {
    both(|p| assert_eq!(Rig::new(p).call(UltracallNumber::UV_RESTRICTED_SPR_WRITE, &[0x352, 1]), UvCode::U_SUCCESS));
}

fn c03() {
    both(|p| {
        for spr in [0x1d0, 0x1ff, 0x1_00b4] {
            assert_eq!(Rig::new(p).call(UltracallNumber::UV_RESTRICTED_SPR_WRITE, &[spr, 1]), UvCode::U_PARAMETER);
        }
    });
}

fn c04() {
    both(|p| {
        let rig = Rig::new(p);
        rig.call(UltracallNumber::UV_RESTRICTED_SPR_WRITE, &[0xbb, 0x1234]);
        assert_eq!(
            out(&rig, UltracallNumber::UV_RESTRICTED_SPR_READ, &[0xbb, JUNK]),
            (UvCode::U_SUCCESS, 0xbb, 0x1234)
        );
    });
}

fn c05() {
    both(|p| {
        let expected = (UvCode::U_PARAMETER, 0x352, JUNK);
        assert_eq!(out(&Rig::new(p), UltracallNumber::UV_RESTRICTED_SPR_READ, &[0x352, JUNK]), expected);
    });
}

fn c06() {
    both(|p| assert_eq!(Rig::new(p).call(UltracallNumber::UV_RESTRICTED_SPR_READ, &[0x31f]), UvCode::U_PARAMETER));
}

fn c07() {
    both(|p| {
        for id in [0x8000_0000, 9] {
            assert_eq!(out(&chip(p), UltracallNumber::UV_READ_SCOM, &[id, 0x1000]), (UvCode::U_PARAMETER, id, 0x1000));
        }
    });
}

fn c08() {
    both(|p| {
        let rig = chip(p);
        assert_eq!(out(&rig, UltracallNumber::UV_READ_SCOM, &[8, 0x1000]), (UvCode::U_SUCCESS, 0xabcd, 0x1000));
        assert_eq!(out(&rig, UltracallNumber::UV_READ_SCOM, &[8, 0x8000_1000]).0, UvCode::U_SUCCESS, "31 bits count");
        assert_eq!(rig.call(UltracallNumber::UV_WRITE_SCOM, &[8, 0x1000, 5]), UvCode::U_SUCCESS);
        assert_eq!(out(&rig, UltracallNumber::UV_READ_SCOM, &[8, 0x1000]).1, 5);
        // The access list: documented enforced, in the firmware not by default.
        let listed = |code| pick(p, UvCode::U_PERMISSION, code);
        assert_eq!(rig.call(UltracallNumber::UV_READ_SCOM, &[8, 0x2000]), listed(UvCode::U_SUCCESS));
        assert_eq!(rig.call(UltracallNumber::UV_WRITE_SCOM, &[8, 0x2000, 1]), listed(UvCode::U_SUCCESS));
        assert_eq!(rig.call(UltracallNumber::UV_WRITE_SCOM, &[8, 0x3000, 1]), UvCode::U_XSCOM_ADDR_ERROR);
        assert_eq!(rig.call(UltracallNumber::UV_WRITE_SCOM, &[8, 0xa_100a, 1]), UvCode::U_XSCOM_ADDR_ERROR);
        rig.machine.with_scom(|scom| scom.fail(8, 0x1000, UvCode::U_XSCOM_TIMEOUT));
        assert_eq!(rig.call(UltracallNumber::UV_READ_SCOM, &[8, 0x1000]), UvCode::U_XSCOM_TIMEOUT);
    });
}

fn c09() {
    both(|p| {
        let rig = chip(p);
        assert_eq!(rig.call(UltracallNumber::UV_WRITE_SCOM, &[8, 1 << 63 | 0x1000, 0x1_0000]), UvCode::U_PARAMETER);
        assert_eq!(rig.call(UltracallNumber::UV_WRITE_SCOM, &[8, 1 << 63 | 0x1000, 0xffff]), UvCode::U_SUCCESS);
        assert_eq!(rig.call(UltracallNumber::UV_WRITE_SCOM, &[8, 9 << 60 | 0x1000, 1 << 52]), UvCode::U_PARAMETER);
    });
}

fn c10() {
    both(|p| {
        let rig = chip(p);
        assert_eq!(rig.call(UltracallNumber::UV_READ_SCOM, &[8, 9 << 60 | 0x1000]), UvCode::U_UNSUPPORTED);
        // The form counts for indirect addresses only; bits above the 31 of a direct one do not count.
        assert_eq!(
            out(&rig, UltracallNumber::UV_READ_SCOM, &[8, 1 << 60 | 0x1000]),
            (UvCode::U_SUCCESS, 0xabcd, 1 << 60 | 0x1000)
        );
        assert_eq!(out(&rig, UltracallNumber::UV_READ_SCOM, &[8, 1 << 63 | 0x1000]).1, 0x12);
        assert_eq!(rig.call(UltracallNumber::UV_WRITE_SCOM, &[8, 1 << 60 | 0x1000, u64::MAX]), UvCode::U_SUCCESS);
        assert_eq!(out(&rig, UltracallNumber::UV_READ_SCOM, &[8, 0x1000]).1, u64::MAX);
        assert_eq!(
            rig.call(UltracallNumber::UV_WRITE_SCOM, &[8, 9 << 60 | 0x1000, (1 << 52) - 1]),
            UvCode::U_XSCOM_ADDR_ERROR
        );
        assert_eq!(
            [9, 1 << 31 | 8].map(|id| rig.call(UltracallNumber::UV_WRITE_SCOM, &[id, 0x1000, 1])),
            [UvCode::U_PARAMETER; 2]
        );
    });
}

fn memory(profile: Profile) -> Rig {
    let rig = Rig::new(profile);
    rig.machine.add_platform_memory(PlatformRange {
        id: 3,
        kind: 2,
        bytes: (0..=255).collect(),
        readable: vec![(0x10, 0x10), (0x20, 0x10), (0x40, 8)],
        writable: vec![(0x80, 8)],
    });
    rig
}

const READ: u64 = 3 << 32 | 2;
const WRITE: u64 = 2 << 32 | 3;

fn c11() {
    both(|p| assert_eq!(memory(p).call(UltracallNumber::UV_READ_MEM, &[0, READ, 0x10, 8]), UvCode::U_PARAMETER));
}

fn c12() {
    both(|p| {
        let rig = memory(p);
        assert_eq!(rig.call(UltracallNumber::UV_READ_MEM, &[HOST, READ, 0x10, 0]), UvCode::U_PARAMETER);
        assert_eq!(rig.call(UltracallNumber::UV_READ_MEM, &[HOST | 1 << 48, READ, 0x10, 8]), UvCode::U_PARAMETER);
    });
}

fn c13() {
    both(|p| {
        let rig = memory(p);
        for (handle, offset) in [(READ, 0x30), (READ, 0x3c), (READ, u64::MAX), (WRITE, 0x10), (READ + 1, 0x10)] {
            assert_eq!(rig.call(UltracallNumber::UV_READ_MEM, &[HOST, handle, offset, 8]), UvCode::U_PERMISSION);
        }
        assert_eq!(rig.call(UltracallNumber::UV_WRITE_MEM, &[HOST, WRITE, 0x10, 8]), UvCode::U_PERMISSION);
    });
}

fn c14() {
    both(|p| {
        let rig = memory(p);
        assert_eq!(rig.call(UltracallNumber::UV_READ_MEM, &[HOST, READ, 0x1c, 8]), UvCode::U_SUCCESS);
        assert_eq!(rig.normal(HOST)[..9], [0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0]);
        rig.memory.write(HostAddr(HOST), b"whitelst").unwrap();
        assert_eq!(rig.call(UltracallNumber::UV_WRITE_MEM, &[HOST, WRITE, 0x80, 8]), UvCode::U_SUCCESS);
    });
}

fn c15() {
    both(|p| assert_eq!(chip(p).call(UltracallNumber::UV_SEND_SBE_COMMAND, &[8, 3, 0]), UvCode::U_PARAMETER));
}

fn c16() {
    both(|p| {
        let rig = chip(p);
        let send = |chip, opcode, input| out(&rig, UltracallNumber::UV_SEND_SBE_COMMAND, &[chip, opcode, input]);
        assert_eq!(send(8, 1, 5), (UvCode::U_PARAMETER, 8, 1));
        assert_eq!(send(8, 2, 5).0, UvCode::U_PARAMETER);
        assert_eq!(send(9, 0, 5).0, UvCode::U_PARAMETER);
        assert_eq!(send(8, 0, 5), (UvCode::U_SUCCESS, 8, 0));
        rig.machine.raise_sbe_interrupts(6);
        assert_eq!(send(8, 1, 0), (UvCode::U_SUCCESS, 6, 1));
        assert_eq!(send(8, 2, 0), (UvCode::U_SUCCESS, 8, 2));
        rig.machine.set_sbe_busy(true);
        assert_eq!(send(8, 0, 5).0, UvCode(-2));
    });
}
