//! Rows A: who may call.

use uv_power::abi::numbers::UltracallNumber;
use uv_power::abi::regs::{Lpid, Regs};
use uv_power::abi::ultracall::Ultracall;
use uv_power::abi::{HvCode, Msr, Privilege, UvCode};
use uv_power::sim::GuestInsn;
use uv_sim::guest::Step;

use crate::rig::*;

rows! { a01 a02 a03 a04 a05 a06 a07 a08 a09 a10 a11 a12 a13 a14 a15 }

fn a01() {
    both(|p| assert_eq!(Rig::new(p).call(UltracallNumber(0xf100), &[]), UvCode::U_FUNCTION));
}

fn a02() {
    both(|p| assert_eq!(Rig::new(p).call(UltracallNumber(0xf154), &[]), UvCode::U_FUNCTION));
}

fn a03() {
    both(|p| {
        let rig = Rig::new(p);
        let (code, _) = raw(&rig.machine, Privilege::Supervisor, VM, UltracallNumber::UV_WRITE_PATE, &[5, 1 << 63, 2]);
        assert_eq!(code, UvCode::U_PERMISSION);
        assert_eq!(rig.machine.partition_entry(Lpid(5)), (0, 0));
    });
}

fn a04() {
    both(|p| {
        let (code, _) =
            raw(&Rig::new(p).machine, Privilege::HostProblem, Lpid(0), UltracallNumber::UV_PAGE_IN, &[99, 0, 0, 0, 12]);
        assert_eq!(code, UvCode::U_PERMISSION);
    });
}

fn a05() {
    both(|p| {
        let args = [7, HOST, 0, 0, 16];
        let (code, _) = raw(&Rig::new(p).machine, Privilege::SecureSupervisor, VM, UltracallNumber::UV_PAGE_OUT, &args);
        assert_eq!(code, UvCode::U_PERMISSION);
    });
}

fn a06() {
    both(|p| {
        let (code, _) = raw(&Rig::new(p).machine, Privilege::Supervisor, VM, UltracallNumber::UV_SHARE_PAGE, &[1, 1]);
        assert_eq!(code, pick(p, UvCode::U_INVALID, UvCode::U_PERMISSION));
    });
}

fn a07() {
    both(|p| {
        let (code, _) =
            raw(&Rig::new(p).machine, Privilege::SecureProblem, VM, UltracallNumber::UV_SHARE_PAGE, &[1, 1]);
        assert_eq!(code, UvCode::U_PERMISSION);
    });
}

fn a08() {
    both(|p| assert_eq!(Rig::new(p).call(UltracallNumber::UV_UNSHARE_ALL_PAGES, &[]), UvCode::U_PERMISSION));
}

fn a09() {
    both(|p| assert_eq!(Rig::new(p).call(UltracallNumber::UV_ESM, &[KERNEL, TREE]), UvCode::U_PERMISSION));
}

fn a10() {
    both(|p| {
        for mode in [Privilege::Problem, Privilege::SecureProblem, Privilege::HostProblem] {
            let (code, _) = raw(&Rig::new(p).machine, mode, VM, UltracallNumber::UV_ESM, &[KERNEL, TREE]);
            assert_eq!(code, UvCode::U_PERMISSION);
        }
    });
}

fn a11() {
    both(|p| {
        let (code, _) = raw(&Rig::new(p).machine, Privilege::SecureSupervisor, VM, UltracallNumber::UV_RETURN, &[]);
        assert_eq!(code, pick(p, UvCode::U_INVALID, UvCode::U_PERMISSION));
    });
}

fn a12() {
    both(|p| {
        let rig = Rig::new(p);
        for number in UltracallNumber::ALL.iter().filter(|number| **number != UltracallNumber::UV_RETURN) {
            let mut regs = Regs::hypervisor().with_call(*number, &[7]);
            regs.msr |= Msr::TS_S.bits();
            rig.machine.ultracall(&mut regs);
            assert_eq!(UvCode::from_register(regs.gpr[3]), UvCode::U_BAD_MODE, "{number}");
        }
    });
}

fn a13() {
    both(|p| {
        for little in [0, Msr::LE.bits()] {
            let mut rig = Rig::secure(p, vec![pause(), Step::Call(GuestInsn::Look)]);
            let guest = rig.machine.guest_regs(VM, 0).unwrap();
            let (at, before) = (guest.nip, guest.msr);
            rig.regs.hsrr1 = (Msr::SF | Msr::EE | Msr::PR).bits() | little;
            rig.regs.nip = 0x4000;
            rig.regs.gpr[0] = 0;
            rig.regs.gpr[3] = UltracallNumber::UV_RETURN.0;
            rig.regs.msr = Regs::hypervisor().msr | Msr::TS_T.bits();
            rig.machine.ultracall(&mut rig.regs);
            if p == uv_power::abi::Profile::Firmware {
                assert_eq!((rig.regs.nip, rig.regs.srr0), (0x700, 0x4000));
                assert_eq!(rig.regs.msr & 0x0020_0000, 0x0020_0000);
                assert_eq!(rig.steps(), 0, "the guest did not go on");
            } else {
                let guest = rig.returned(0);
                assert_eq!((guest.nip, guest.srr0), (0x700, at));
                assert_eq!(guest.srr1, before | 0x0020_0000);
                assert_eq!(guest.msr, (Msr::SF | Msr::S | Msr::ME).bits() | little);
            }
        }
    });
}

fn a14() {
    both(|p| {
        let user = GuestInsn::Msr { set: Msr::PR, clear: Msr::empty() };
        let mut args = vec![0];
        args.extend(crate::rig::name("rootd"));
        let rig = Rig::secure(p, vec![Step::Call(user), sc2(UltracallNumber::UV_ESMB_GET_FILE, &args)]);
        assert!(rig.returned(0).msr().contains(Msr::PR));
        assert_eq!(rig.returned(1).gpr[3], 28);
    });
}

fn a15() {
    both(|p| {
        let mut rig = Rig::new(p);
        rig.regs = Regs { lpidr: VM, ..Regs::hypervisor() };
        rig.resume(HvCode::H_SUCCESS, &[]);
        assert_eq!(UvCode::from_register(rig.regs.gpr[3]), UvCode::U_PARAMETER);
    });
}
