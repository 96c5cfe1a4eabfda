//! Rows B: the partition table.

use uv_power::abi::UvCode;
use uv_power::abi::numbers::{HvCall, UltracallNumber};
use uv_power::abi::regs::Lpid;
use uv_power::sim::SvmState;

use crate::rig::*;

rows! { b01 b02 b03 b04 b05 b06 }

const D0: u64 = 1 << 63 | 0x12_3000;
const D1: u64 = 1 << 63 | 0x45_6000;

fn write(rig: &Rig, lpid: u64) -> UvCode {
    rig.call(UltracallNumber::UV_WRITE_PATE, &[lpid, D0, D1])
}

fn b01() {
    both(|p| {
        let rig = Rig::new(p);
        let flushes = rig.machine.flushes();
        assert_eq!(write(&rig, 5), UvCode::U_SUCCESS);
        assert_eq!(rig.machine.partition_entry(Lpid(5)), (D0, D1));
        assert_eq!(rig.machine.flushes(), flushes + 1);
        assert_eq!(write(&rig, 4096), UvCode::U_PARAMETER);
        assert_eq!(write(&rig, 1 << 32 | 5), UvCode::U_PARAMETER);
        let bad = |dw0, dw1| rig.call(UltracallNumber::UV_WRITE_PATE, &[5, dw0, dw1]);
        assert_eq!(bad(1 << 60, 0), pick(p, UvCode::U_P2, UvCode::U_SUCCESS));
        assert_eq!(bad(0, 1 << 60), pick(p, UvCode::U_P3, UvCode::U_SUCCESS));
    });
}

fn b02() {
    both(|p| {
        let rig = Rig::active(p);
        assert_eq!(write(&rig, 7), UvCode::U_SUCCESS);
        assert_eq!(rig.machine.partition_entry(VM), (0, D1));
    });
}

fn b03() {
    both(|p| {
        let rig = Rig::secure(p, vec![]);
        let before = rig.machine.partition_entry(VM);
        assert_eq!(before.0 & !0x0fff_ffff_ffff_ff00, 1 << 63 | 2 << 61 | 5 << 5 | 13, "52-bit space, root of 2^13");
        assert_eq!(write(&rig, 7), pick(p, UvCode::U_PERMISSION, UvCode::U_SUCCESS));
        assert_eq!(rig.machine.partition_entry(VM), (before.0, pick(p, before.1, D1)));
    });
}

fn b04() {
    both(|p| {
        // Every partition has an entry of its own, the last one too; (0, 0) takes a guest's memory away, another entry gives it back.
        let mut rig = Rig::new(p);
        let entry = |lpid: u64, dw0| rig.call(UltracallNumber::UV_WRITE_PATE, &[lpid, dw0, D1]);
        let last = 1 << 12;
        for lpid in 0..last {
            assert_eq!(entry(lpid, D0 + (lpid << 12)), UvCode::U_SUCCESS);
        }
        assert!((0..last).all(|n| rig.machine.partition_entry(Lpid(n as u32)) == (D0 + (n << 12), D1)));
        assert_eq!(rig.machine.flushes(), last);
        rig.call(UltracallNumber::UV_WRITE_PATE, &[7, 0, 0]);
        rig.start(vec![load(0x1000, 8)]);
        assert_eq!((rig.regs.nip, rig.regs.asdr), (0xe00, 0));
        assert_eq!(write(&rig, 7), UvCode::U_SUCCESS);
        (rig.regs.srr0, rig.regs.srr1) = (rig.regs.hsrr0, rig.regs.hsrr1);
        rig.enter(uv_power::abi::HvCode::H_SUCCESS);
        let loaded = rig.transcript.as_ref().unwrap().lock().len();
        assert_eq!(
            (rig.regs.nip, rig.regs.gpr[3], loaded),
            (0xc00, HvCall::H_CEDE.0, 1),
            "the program waits at its end"
        );
        let rig = Rig::new(p);
        assert_eq!(write(&rig, 0), UvCode::U_SUCCESS);
        assert_eq!(rig.machine.partition_entry(Lpid(0)), (D0, D1));
    });
}

fn b05() {
    both(|p| {
        let rig = Rig::secure(p, vec![]);
        assert_eq!(rig.call(UltracallNumber::UV_SVM_TERMINATE, &[7]), UvCode::U_SUCCESS);
        assert_eq!((rig.machine.partition_entry(VM), rig.state()), ((0, 0), None));
    });
}

fn b06() {
    both(|p| {
        for (rig, state) in [(Rig::active(p), SvmState::Active), (Rig::aborted(p), SvmState::Abort)] {
            assert_eq!(rig.state(), Some(state));
            write(&rig, 7);
            let before = rig.machine.partition_entry(VM);
            assert_eq!(before.1, D1);
            assert_eq!(rig.call(UltracallNumber::UV_SVM_TERMINATE, &[7]), UvCode::U_SUCCESS);
            assert_eq!((rig.machine.partition_entry(VM), rig.state()), (before, None));
        }
    });
}
