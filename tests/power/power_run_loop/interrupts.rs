//! Interrupts: where they save their state, what is injected, what goes to the user.

use uv_core::{Exit, Vcpu};
use uv_power::abi::msr::{SC_LEVEL_1, STATUS_ILLEGAL, STATUS_PRIVILEGED};
use uv_power::abi::numbers::HvCall;
use uv_power::abi::{HvCode, Msr};
use uv_power::hypervisor::kernel::PowerExit;

use crate::rig::*;

#[test]
fn a_guest_that_gets_nowhere_gives_the_user_a_say() {
    let tick = || -> Next {
        Box::new(|regs| {
            regs.nip = 0x980;
            (regs.hsrr0, regs.hsrr1) = (0x4040, NORMAL);
        })
    };
    let mut rig = Rig::new((0..70).map(|_| tick()).collect());
    assert_eq!(rig.cpu.run(), Ok(Exit::Arch(PowerExit::Interrupt(0x980))));
    rig.cpu.complete(HvCode::H_FUNCTION, &[9]);
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted), "and may be run again");
    assert_eq!(rig.entered(64, false).gpr[3..5], [0, 0], "what is no hypercall is not answered");
}

#[test]
fn a_system_reset_is_no_end() {
    let reset: Next = Box::new(|regs| {
        regs.nip = 0x100;
        (regs.srr0, regs.srr1) = (0x4008, NORMAL);
    });
    let mut rig = Rig::new(vec![reset]);
    assert_eq!(rig.cpu.run(), Ok(Exit::Arch(PowerExit::Interrupt(0x100))));
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted), "the guest goes on");
    assert_eq!(rig.entered(1, false).hsrr0, 0x4008);
}

#[test]
fn a_hypercall_of_user_mode_is_a_privileged_instruction_for_the_kernel() {
    let user = |state: u64| -> Next {
        let call = reflected(HvCall::H_SVM_INIT_DONE, &[]);
        Box::new(move |regs| {
            call(regs);
            (regs.srr1, regs.hsrr1) = (state | Msr::PR.bits() | SC_LEVEL_1, state | Msr::PR.bits() | SC_LEVEL_1);
        })
    };
    let mut rig = Rig::new(vec![user(NORMAL)]);
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
    let back = rig.entered(1, false);
    assert_eq!((back.hsrr0, back.srr0, back.gpr[3]), (0x700, COOKIE, HvCall::H_SVM_INIT_DONE.0));
    assert_eq!(back.srr1, NORMAL | Msr::PR.bits() | STATUS_PRIVILEGED);
    assert_eq!(back.hsrr1, (Msr::SF | Msr::ME).bits());

    let mut rig = secure(vec![user(SECURE)]);
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
    let back = rig.entered(1, true);
    assert_eq!((back.hsrr0, back.gpr[31], back.gpr[0]), (0x700, COOKIE, HvCall::H_SVM_INIT_DONE.0));
    assert_eq!(back.gpr[2], SECURE | Msr::PR.bits() | STATUS_PRIVILEGED);
}

#[test]
fn interrupts_are_injected_through_hsrr0_hsrr1_and_r2() {
    let state = SECURE | Msr::LE.bits() | Msr::IR.bits() | Msr::DR.bits();
    let mut rig = secure(vec![interrupted(0xea0, state), interrupted(0xf80, state & !Msr::EE.bits())]);
    rig.uv.inner().next.lock().unwrap().push_front(interrupted(0xf80, state));
    assert_eq!(rig.cpu.run(), Ok(Exit::Arch(PowerExit::Interrupt(0xf80))));
    assert!(rig.cpu.takes_external());
    rig.cpu.inject(0x700, STATUS_ILLEGAL | Msr::PR.bits() | 1);
    assert_eq!(rig.cpu.run(), Ok(Exit::Arch(PowerExit::Interrupt(0xf80))), "0xea0 is served here");
    let back = rig.entered(1, true);
    assert_eq!((back.hsrr0, back.hsrr1), (0x700, (Msr::SF | Msr::ME | Msr::LE).bits()));
    assert_eq!((back.srr0, back.gpr[2], back.gpr[31]), (COOKIE, state | STATUS_ILLEGAL, COOKIE), "status bits only");
    assert_eq!(rig.entered(2, true).hsrr0, COOKIE, "once");
    assert!(!rig.cpu.takes_external());

    // A normal guest with LPCR.AIL = 3 and a transaction.
    let active = NORMAL | Msr::IR.bits() | Msr::DR.bits() | Msr::TS_T.bits();
    let tick = |state| -> Next {
        Box::new(move |regs| {
            (regs.nip, regs.lpcr) = (0xe40, 3 << 23);
            (regs.hsrr0, regs.hsrr1) = (0x4040, state);
        })
    };
    let suspended = active & !Msr::TS_T.bits() | Msr::TS_S.bits();
    let taken = Msr::SF | Msr::ME | Msr::TS_S;
    let expected = [
        (active, 0x900, 0xc000_0000_0000_4900, taken | Msr::IR | Msr::DR),
        (active, 0x100, 0x100, taken),
        (active, 0x200, 0x200, taken),
        (active & !Msr::IR.bits(), 0x900, 0x900, taken),
        (suspended & !Msr::DR.bits(), 0x900, 0x900, taken),
        (NORMAL, 0x900, 0x900, Msr::SF | Msr::ME),
    ];
    let mut rig = Rig::new(expected.into_iter().map(|(state, ..)| tick(state)).collect());
    for (_, vector, ..) in expected {
        assert_eq!(rig.cpu.run(), Ok(Exit::Arch(PowerExit::Interrupt(0xe40))));
        rig.cpu.inject(vector, 0);
    }
    assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
    for (entry, (.., at, msr)) in (1..).zip(expected) {
        let back = rig.entered(entry, false);
        assert_eq!((back.hsrr0, back.hsrr1, back.srr0), (at, msr.bits(), 0x4040));
    }
}

#[test]
fn the_cause_of_an_interrupt_is_told() {
    let caused: Next = Box::new(|regs| {
        regs.nip = 0xf80;
        (regs.srr1, regs.hsrr1) = (NORMAL | 0x0001_0000, NORMAL | 0x0008_0000);
        regs.hfscr = 5 << 56 | 0x22;
        assert!(regs.spr.set(uv_power::abi::regs::Spr::HEIR, 0x7c00_0001));
    });
    let woken: Next = Box::new(|regs| (regs.nip, regs.srr1, regs.hsrr1) = (0x200, NORMAL | 0x0001_0000, 0));
    let mut rig = Rig::new(vec![caused, woken]);
    assert_eq!(rig.cpu.run(), Ok(Exit::Arch(PowerExit::Interrupt(0xf80))));
    let cause = rig.cpu.cause();
    assert_eq!((cause.status, cause.facility, cause.instruction), (0x0008_0000, 5, 0x7c00_0001), "HSRR1 counts");
    assert_eq!(rig.cpu.run(), Ok(Exit::Arch(PowerExit::Interrupt(0x200))));
    assert_eq!(rig.cpu.cause().status, 0x0001_0000, "SRR1 counts");
}

#[test]
fn ticks_in_a_row_are_counted() {
    let tick = || interrupted(0x980, NORMAL);
    let entries = |rig: &Rig| rig.entries().len();
    let say = Ok(Exit::Arch(PowerExit::Interrupt(0x980)));
    let mut rig = Rig::new((0..128).map(|_| tick()).collect());
    assert_eq!((rig.cpu.run(), entries(&rig)), (say.clone(), 64));
    assert_eq!((rig.cpu.run(), entries(&rig)), (say.clone(), 128), "counted anew");
    // Anything else begins a new row; what the host serves itself goes to nobody.
    let between = [0x500, 0xe80, 0xea0].map(|vector| interrupted(vector, NORMAL));
    let mut next: Vec<Next> = (0..63).map(|_| tick()).collect();
    next.extend(between);
    next.extend((0..64).map(|_| tick()));
    let mut rig = Rig::new(next);
    assert_eq!((rig.cpu.run(), entries(&rig)), (say, 63 + 3 + 64));
    // Other vectors are told by their number.
    for vector in [0x200, 0x300, 0x700, 0xe40, 0xe60, 0xf80, 0x1500] {
        let mut rig = Rig::new(vec![interrupted(vector, NORMAL)]);
        assert_eq!(rig.cpu.run(), Ok(Exit::Arch(PowerExit::Interrupt(vector))));
    }
}

#[test]
fn where_an_interrupt_saved_its_state() {
    // Vector, LPCR, and whether HSRR0/1 count.
    for (vector, lpcr, hsrr) in [
        (0x500, 0, true),
        (0x500, 1 << 3, false),
        (0x500, 1 << 4, true),
        (0x980, 0, true),
        (0xf80, 0, true),
        (0x1500, 0, true),
        (0xe60, 0, true),
        (0xea0, 0, true),
        (0xec0, 0, false),
        (0x200, 0, false),
        (0x900, 0, false),
    ] {
        let next: Next = Box::new(move |regs| {
            (regs.nip, regs.lpcr) = (vector, lpcr);
            (regs.srr0, regs.srr1) = (0x1110, NORMAL | 0x0001_0000);
            (regs.hsrr0, regs.hsrr1) = (0x2220, NORMAL | 0x0002_0000);
        });
        let mut rig = Rig::new(vec![next]);
        rig.cpu.run().unwrap();
        let (at, status) = if hsrr { (0x2220, 0x0002_0000) } else { (0x1110, 0x0001_0000) };
        if rig.entries().len() == 1 {
            assert_eq!(rig.cpu.cause().status, status, "{vector:#x}");
            assert_eq!(rig.cpu.run(), Ok(Exit::Halted));
        }
        let back = rig.entered(1, false);
        assert_eq!((back.hsrr0, back.hsrr1), (at, NORMAL), "{vector:#x}: and no status");
    }
}
