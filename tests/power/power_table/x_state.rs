//! What the hypervisor finds in the registers, and what it leaves in them: causes, debug registers, what an entry changes.

use uv_power::abi::msr::{STATUS_NO_TRANSLATION, STATUS_PRIVILEGED};
use uv_power::abi::numbers::{HvCall, UltracallNumber};
use uv_power::abi::regs::{Regs, Spr};
use uv_power::abi::ultracall::Ultracall;
use uv_power::abi::{HvCode, Msr, Profile, UvCode};
use uv_power::sim::{GuestInsn, Interrupt};
use uv_sim::guest::Step;

use crate::l_reflection::{HFSCR_MSGP, at, full, hcall, inject, interrupted, load_all, look};
use crate::rig::*;

rows! {
    an_interrupt_tells_its_cause a_fetch_without_translation_tells_so a_transaction_that_hardware_reports_is_the_guests
    a_hypercall_of_user_code_is_not_served an_entry_changes_the_registers_it_must
    an_entry_counts_and_injects_what_it_is_told
    debug_registers_are_zero_after_a_reflection_and_each_threads_own a_normal_guest_shows_its_cause
}

/// Status bits that an interrupt may have, all of them.
const STATUS: u64 = 0x783f_0000;

fn an_interrupt_tells_its_cause() {
    both(|p| {
        for vector in [0x100, 0x200, 0x980, 0xe60, 0xe80, 0xea0] {
            let status = STATUS & !0x30_0000;
            let rig = interrupted(p, Interrupt { status, ..vector.into() });
            assert_eq!((rig.regs.nip, rig.regs.srr1 & STATUS, rig.regs.hsrr1), (vector, status, rig.regs.srr1));
            let rig = interrupted(p, Interrupt { status: !STATUS, ..vector.into() });
            assert_eq!(rig.regs.srr1 & STATUS, 0, "bits of the machine state are not the interrupt's");
            assert!(!Msr::from_register(rig.regs.srr1).contains(Msr::HV));
        }
        // The status goes with its interrupt: what comes next has its own.
        let mut rig = interrupted(p, Interrupt { status: 1 << 16, ..0x100.into() });
        assert!(rig.machine.interrupt(VM, 0, 0x980));
        rig.resume(HvCode::H_SUCCESS, &[]);
        assert_eq!((rig.regs.nip, rig.regs.srr1 & STATUS), (0x980, 0));
        // A machine check tells where and why.
        let rig = interrupted(p, Interrupt { data: Some((0x8000, 0x1234)), ..0x200.into() });
        assert_eq!((rig.regs.spr.get(Spr::DSISR), rig.regs.spr.get(Spr::DAR)), (Some(0x8000), Some(0x1234)));
        // A facility that is not available: its number in HFSCR. The instruction of an 0xe40 is not shown.
        let rig = interrupted(p, Interrupt { facility: 9, ..0xf80.into() });
        assert_eq!((rig.regs.nip, rig.regs.hfscr), (0xf80, 9 << 56 | HFSCR_MSGP));
        let rig = interrupted(p, Interrupt { instruction: 0x7c00_02a6, ..0xe40.into() });
        assert_eq!((rig.regs.nip, rig.regs.gpr[3]), (0xc00, HvCall::H_RTAS.0), "killed");
        assert_eq!(rig.regs.spr.get(Spr::HEIR), Some(0));
    });
}

fn a_fetch_without_translation_tells_so() {
    both(|p| {
        let fetch = Step::Fetch { at: uv_core::GuestAddr(0x2000_0000) };
        let mut rig = Rig::secure(p, vec![pause(), fetch]);
        rig.resume(HvCode::H_SUCCESS, &[]);
        assert_eq!((rig.regs.nip, rig.regs.hsrr1 & STATUS), (0xe20, STATUS_NO_TRANSLATION));
    });
}

fn a_transaction_that_hardware_reports_is_the_guests() {
    both(|p| {
        let rig = interrupted(p, Interrupt { facility: 5, ..0xf80.into() });
        let guest = rig.returned(1);
        assert_eq!(guest.nip, 0x704, "one instruction after the vector");
        let illegal = |register: u64| register & 0x0008_0000 != 0;
        assert_eq!((illegal(guest.srr1), illegal(guest.msr)), pick(p, (true, false), (false, true)));
    });
}

fn a_hypercall_of_user_code_is_not_served() {
    both(|p| {
        let user = Step::Call(GuestInsn::Msr { set: Msr::PR, clear: Msr::empty() });
        for number in [0x58, 0x300, 0xf000, 0xef10] {
            let mut rig = Rig::secure(p, vec![pause(), user.clone(), hcall(number, &[0x110_0000]), look()]);
            let nip = rig.machine.guest_regs(VM, 0).unwrap().nip;
            let mark = rig.seen.len();
            rig.stop_at = Some(number);
            rig.go();
            if p == Profile::Firmware {
                // The published code asks nobody; the hypervisor can tell.
                let reflected = matches!(number, 0x58 | 0xf000);
                assert_eq!(rig.seen.len() > mark, reflected, "{number:#x}");
                assert!(!reflected || Msr::from_register(rig.regs.srr1).contains(Msr::PR));
                continue;
            }
            assert_eq!(rig.since(mark), [], "{number:#x}: nobody is asked");
            let guest = rig.returned(2);
            assert_eq!((guest.nip, guest.srr0), (0x700, nip + 8));
            assert_eq!(guest.srr1 & STATUS, STATUS_PRIVILEGED);
            assert!(Msr::from_register(guest.srr1).contains(Msr::PR) && !guest.msr().contains(Msr::PR));
            assert_eq!(guest.gpr[3], number, "no result");
        }
    });
}

fn an_entry_changes_the_registers_it_must() {
    both(|p| {
        let mut rig = at(p, vec![load_all(), pause(), look()]);
        // LPCR.ONL and HFSCR.TM of the hypervisor's own making.
        (rig.regs.lpcr, rig.regs.hfscr) = (1 << 18 | 1 << 3, 1 << 5 | 1 << 2);
        rig.resume(HvCode::H_SUCCESS, &[]);
        assert_eq!((rig.regs.lpcr, rig.regs.hfscr), (1 << 3, HFSCR_MSGP | 1 << 2));
        let guest = rig.returned(2);
        assert_eq!((guest.lpcr, guest.hfscr), (1 << 3, HFSCR_MSGP | 1 << 2));
        assert_eq!(
            (guest.mmcr0, guest.mmcra),
            (full().mmcr0 | 1, full().mmcra),
            "counters stand still in hypervisor state"
        );
        assert_eq!(guest.spr.get(Spr::TRACE), Some(0));
        assert_eq!(guest.spr.get(Spr::DAWR), full().spr.get(Spr::DAWR), "the others are as the guest left them");
    });
}

fn debug_registers_are_zero_after_a_reflection_and_each_threads_own() {
    both(|p| {
        let mut rig = at(p, vec![pause(), pause()]);
        let spr = |rig: &Rig, number: UltracallNumber, thread: u32, args: &[u64]| {
            let mut regs = Regs { thread, ..Regs::hypervisor() }.with_call(number, args);
            rig.machine.ultracall(&mut regs);
            assert_eq!(UvCode::from_register(regs.gpr[3]), UvCode::U_SUCCESS);
            regs.gpr[5]
        };
        let all = [Spr::DAWR, Spr::DAWRX, Spr::CIABR].map(|spr| u64::from(spr.0));
        let read =
            |rig: &Rig, thread| all.map(|number| spr(rig, UltracallNumber::UV_RESTRICTED_SPR_READ, thread, &[number]));
        for number in all {
            spr(&rig, UltracallNumber::UV_RESTRICTED_SPR_WRITE, 0, &[number, 0xabcd]);
            spr(&rig, UltracallNumber::UV_RESTRICTED_SPR_WRITE, 1, &[number, 0x1234]);
        }
        assert_eq!((read(&rig, 0), read(&rig, 1), read(&rig, 2)), ([0xabcd; 3], [0x1234; 3], [0; 3]));
        rig.resume(HvCode::H_SUCCESS, &[]);
        assert_eq!((rig.regs.nip, rig.regs.thread), (0xc00, 0));
        assert_eq!((read(&rig, 0), read(&rig, 1)), ([0; 3], [0x1234; 3]));
    });
}

fn a_normal_guest_shows_its_cause() {
    let mut rig = Rig::new(Profile::Documented);
    rig.start(vec![pause(), Step::Fetch { at: uv_core::GuestAddr(GUEST) }]);
    let facility = Interrupt { facility: 5, ..0xf80.into() };
    let emulation = Interrupt { instruction: 0x7c00_02a6, ..0xe40.into() };
    for interrupt in [Interrupt { status: 1 << 16, ..0x100.into() }, facility, emulation] {
        assert!(rig.machine.interrupt(VM, 0, interrupt));
    }
    rig.enter(HvCode::H_SUCCESS);
    assert_eq!((rig.regs.nip, rig.regs.srr1 & STATUS), (0x100, 1 << 16));
    rig.enter(HvCode::H_SUCCESS);
    assert_eq!((rig.regs.nip, rig.regs.hfscr >> 56), (0xf80, 5));
    (rig.regs.srr0, rig.regs.srr1) = (rig.regs.hsrr0, rig.regs.hsrr1);
    rig.enter(HvCode::H_SUCCESS);
    assert_eq!((rig.regs.nip, rig.regs.spr.get(Spr::HEIR)), (0xe40, Some(0x7c00_02a6)));
    (rig.regs.srr0, rig.regs.srr1) = (rig.regs.hsrr0, rig.regs.hsrr1);
    rig.enter(HvCode::H_SUCCESS);
    assert_eq!((rig.regs.nip, rig.regs.hsrr1 & STATUS), (0xe20, STATUS_NO_TRANSLATION));
}

fn an_entry_counts_and_injects_what_it_is_told() {
    both(|p| {
        for (hsrr0, r2, vector) in
            [(0x1fe0, 0, Some(0x1fe0)), (0x2004, 0, None), (0x910, 0, None), (0x920, 0, Some(0x920)), (0x2000, 0, None)]
        {
            let (nip, regs) = inject(p, hsrr0, r2);
            assert_eq!(regs.nip, vector.unwrap_or(nip) + 4, "{hsrr0:#x}");
            assert!(vector.is_none() || regs.srr1 & STATUS == 0);
        }
        let mut rig = at(p, vec![pause(), pause(), look()]);
        for ticks in [5, 7] {
            rig.regs.ic = ticks;
            rig.resume(HvCode::H_SUCCESS, &[]);
        }
        assert_eq!(rig.returned(2).ic, 12);
        assert_eq!(rig.returned(2).gpr[3], 0, "the result of the last hypercall");
    });
}
