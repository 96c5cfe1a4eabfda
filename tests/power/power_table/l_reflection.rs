//! Rows L: reflection, `UV_RETURN`, RTAS.

use crate::rig::*;
use uv_core::{HostAddr, NormalMemory};
use uv_power::abi::numbers::{HvCall, UltracallNumber};
use uv_power::abi::regs::{Regs, Spr};
use uv_power::abi::ultracall::Ultracall;
use uv_power::abi::{HvCode, Msr, Profile, UvCode};
use uv_power::sim::{GuestInsn, GuestStep, Interrupt};
use uv_sim::guest::{Script, Step};

rows! { l01 l02 l03 l04 l05 l06 l07 l08 l09 l10 l11 l12 l13 l14 l15 l16 l17 l18 l19 l20 l21 }

pub(crate) const SECRET: u64 = 0x5ec2_e75e_c2e7_5ec2;
/// HFSCR.MSGP, which an entry of a secure guest turns on.
pub(crate) const HFSCR_MSGP: u64 = 1 << 10;
/// Where the guest builds its RTAS calls, and a buffer of it.
const BLOCK: u64 = 0x110_0000;
pub(crate) const BUFFER: u64 = 0x111_0100;

pub(crate) fn hcall(number: u64, args: &[u64]) -> GuestStep {
    Step::Call(GuestInsn::hypercall(HvCall(number), args))
}

pub(crate) fn look() -> GuestStep {
    Step::Call(GuestInsn::Look)
}

/// Every register that a guest can load holds a secret.
pub(crate) fn full() -> Regs {
    let mut regs = Regs {
        gpr: [SECRET; 32],
        cr: 0x5ec2_e75e,
        xer: SECRET,
        lr: SECRET,
        ctr: SECRET,
        cfar: SECRET,
        srr0: SECRET,
        srr1: SECRET,
        sprg: [SECRET; 4],
        dec: SECRET,
        ic: SECRET,
        mmcr0: SECRET,
        mmcra: SECRET,
        amr: SECRET,
        vsr: [u128::from(SECRET) << 64 | u128::from(SECRET); 64],
        fpscr: SECRET,
        vscr: 0x5ec2_e75e,
        ..Regs::default()
    };
    for masked in uv_power::abi::regs::MASKED_SPRS {
        regs.spr.set(masked.spr, SECRET);
    }
    regs
}

pub(crate) fn load_all() -> GuestStep {
    Step::Call(GuestInsn::Load(Box::new(full())))
}

/// Guest machine state with all facilities on.
fn facilities() -> GuestStep {
    Step::Call(GuestInsn::Msr { set: Msr::FP | Msr::VEC | Msr::VSX, clear: Msr::EE })
}

/// A secure VM at its first hypercall, which the test answers.
pub(crate) fn at(profile: Profile, steps: Vec<GuestStep>) -> Rig {
    let rig = Rig::secure(profile, steps);
    assert_eq!(rig.regs.nip, 0xc00);
    rig
}

fn l01() {
    both(|p| {
        let mut rig = Rig::secure(p, vec![pause(), hcall(0x300, &[]), pause()]);
        let mark = rig.seen.len();
        rig.go();
        assert_eq!(rig.numbers()[mark..], [0x58], "the hypervisor is not entered");
        let regs = rig.returned(1);
        // The document has the ultravisor make the number itself.
        assert_eq!(HvCode::from_register(regs.gpr[3]), pick(p, HvCode::H_SUCCESS, HvCode::H_FUNCTION));
        assert_eq!(regs.gpr[4] != 0, p == Profile::Documented);
    });
}

fn l02() {
    both(|p| {
        let late = Regs { dec: 0x1234, ..Regs::default() };
        let steps = vec![facilities(), Step::Call(GuestInsn::Load(Box::new(late))), hcall(0xe0, &[])];
        let mut rig = at(p, steps);
        assert_eq!((rig.regs.gpr[3], rig.regs.dec), (0xe0, 0x1234));
        rig.go();
        assert!(rig.returned(2).msr().contains(Msr::EE));
    });
}

fn l03() {
    both(|p| {
        let rig = at(p, vec![load_all(), hcall(0x58, &[1, 2, 3, 4])]);
        assert_eq!(rig.regs.gpr[3..8], [0x58, 1, 2, 3, 4]);
        assert_eq!(rig.regs.gpr[8..31], [0; 23]);
        assert_eq!(rig.regs.gpr[1..3], [0; 2]);
        assert_eq!(rig.regs.gpr[31], rig.regs.srr0);
        assert_ne!(rig.regs.gpr[0], SECRET);
        assert_eq!(rig.regs.gpr[0] != 0, p == Profile::Firmware, "R0 is random in the firmware");
    });
}

fn l04() {
    both(|p| {
        let mut rig = at(p, vec![load_all(), hcall(0x54, &[1])]);
        rig.resume(HvCode(5), &[11, 12, 13, 14, 15, 16, 17, 18, 19]);
        let regs = rig.returned(1);
        assert_eq!(regs.gpr[3..7], [5, 11, 12, 13]);
        assert_eq!(regs.gpr[7..32], [SECRET; 25]);
        assert_eq!(regs.gpr[..3], [SECRET; 3]);
    });
}

fn l05() {
    both(|p| {
        let mut rig = at(p, vec![load_all(), hcall(0x4, &[1, 2, 3, 4, 5, 6, 7])]);
        assert_eq!(rig.regs.gpr[3..10], [4, 1, 2, 3, 4, 5, 0]);
        rig.resume(HvCode(0), &[21, 22, 23, 24, 25, 26, 27]);
        assert_eq!(rig.returned(1).gpr[3..11], [0, 21, 22, 3, 4, 5, 6, 7]);
    });
}

fn l06() {
    both(|p| {
        for number in [0x30, 0xef10, 0xef14, 0x12_3456] {
            let mut rig = Rig::secure(p, vec![pause(), hcall(number, &[]), pause()]);
            rig.go();
            assert_eq!(HvCode::from_register(rig.returned(1).gpr[3]), HvCode::H_FUNCTION);
        }
    });
}

/// Every way into the hypervisor, and the registers that it finds. `facilities` and `load_all` come first.
fn every_reflection(profile: Profile) -> Vec<(&'static str, Regs)> {
    let gfn = 0x100;
    let prepared = |mut steps: Vec<GuestStep>| {
        let mut all = vec![facilities(), load_all()];
        all.append(&mut steps);
        all
    };
    let mut found = Vec::new();
    for row in uv_power::abi::calls::HYPERCALLS.iter().filter(|row| row.window.is_some()) {
        if matches!(row.handler, "reflected" | "cede") {
            let HvCall(number) = row.call;
            let mut rig = at(profile, prepared(vec![pause(), hcall(number, &[])]));
            rig.stop_at = Some(number);
            rig.go();
            assert_eq!((rig.regs.nip, rig.regs.gpr[3]), (0xc00, number));
            found.push((row.call.name().unwrap(), rig.regs));
        }
    }
    for vector in [0x100, 0x200, 0x980, 0xe60, 0xe80, 0xea0, 0xf80] {
        let mut rig = Rig::secure(profile, prepared(vec![pause(), look()]));
        assert!(rig.machine.interrupt(VM, 0, vector));
        rig.resume(HvCode::H_SUCCESS, &[]);
        assert_eq!(rig.regs.nip, vector);
        found.push(("interrupt", rig.regs));
    }
    let mut rig = Rig::secure(
        profile,
        vec![sc2(UltracallNumber::UV_SHARE_PAGE, &[gfn, 1]), pause(), facilities(), load_all(), load(gfn * PAGE, 8)],
    );
    rig.page_inval(gfn * PAGE);
    rig.resume(HvCode::H_SUCCESS, &[]);
    assert_eq!(rig.regs.nip, 0xe00);
    found.push(("shared page away", rig.regs));
    let device = prepared(vec![load(0x2000_0000, 8)]);
    found.push(("device", at(profile, device).regs));
    let fetch = prepared(vec![Step::Fetch { at: uv_core::GuestAddr(0x2000_0000) }]);
    found.push(("fetch", Rig::secure(profile, fetch).regs));
    let rtas = vec![store(BLOCK, &words(&[0x2004, 1, 1, 7])), facilities(), load_all(), hcall(0xf000, &[BLOCK])];
    found.push(("rtas", at(profile, rtas).regs));
    found
}

/// The whole register file but what the tables of the fact sheet name is that of a CPU that computes nothing.
pub(crate) fn nothing_leaks() {
    both(|p| {
        for (what, regs) in every_reflection(p) {
            let inputs = match regs.nip {
                0xc00 if what == "device" => 3,
                0xc00 => uv_power::abi::calls::hypercall(HvCall(regs.gpr[3])).unwrap().window.unwrap().inputs,
                _ => 0,
            };
            let mut expected = Regs {
                nip: regs.nip,
                msr: regs.msr,
                srr0: regs.gpr[31],
                hsrr0: regs.gpr[31],
                srr1: regs.srr1,
                hsrr1: regs.srr1,
                lpidr: VM,
                hfscr: HFSCR_MSGP,
                dec: if regs.gpr[3] == 0xe0 { SECRET } else { 0x7fff_ffff },
                amr: pick(p, 0, SECRET),
                ..Regs::default()
            };
            expected.gpr[31] = regs.gpr[31];
            expected.gpr[0] = pick(p, 0, regs.gpr[0]);
            expected.gpr[3..3 + inputs].copy_from_slice(&regs.gpr[3..3 + inputs]);
            assert_ne!(regs.gpr[0], SECRET);
            match regs.nip {
                0x200 => {
                    expected.spr.set(Spr::DAR, SECRET);
                    expected.spr.set(Spr::DSISR, SECRET);
                    expected.asdr = regs.asdr;
                }
                0xe00 => (expected.hdsisr, expected.hdar, expected.asdr) = (regs.hdsisr, regs.hdar, regs.asdr),
                0xe20 => (expected.hdar, expected.asdr) = (regs.hdar, regs.asdr),
                _ => {}
            }
            if what == "shared page away" || what == "fetch" || what == "device" {
                assert_eq!(regs.gpr[6..31], [0; 25]);
            }
            // `Regs` does not print its content; name the field groups that can differ.
            assert!(regs.gpr == expected.gpr, "{what} {:#x}: general registers", regs.nip);
            assert!(regs.spr == expected.spr && regs.vsr == expected.vsr, "{what}: special or vector registers");
            assert!(regs == expected, "{what} {:#x}: another register", regs.nip);
        }
    });
}

fn l07() {
    both(|p| {
        for (what, regs) in every_reflection(p) {
            let cookie = regs.gpr[31];
            assert!((0x2000..1 << 32).contains(&cookie) && cookie % 4 == 0, "{what}");
            assert_eq!((regs.srr0, regs.hsrr0), (cookie, cookie), "{what}");
            assert!(regs.came_from_secure_guest() && regs.hsrr1 == regs.srr1, "{what}");
            assert!(!regs.msr().contains(Msr::S) && regs.msr().contains(Msr::HV | Msr::SF), "{what}");
            assert_eq!(regs.msr().contains(Msr::ME), regs.nip != 0x200, "{what}");
            assert!(regs.msr().contains(Msr::FP | Msr::VEC | Msr::VSX), "{what}");
            assert_eq!(regs.srr1 >> 20 & 3, u64::from(regs.nip == 0xc00), "{what}");
            assert_eq!(regs.srr1 & 0x780f_0000, if regs.nip == 0xe20 { 0x4000_0000 } else { 0 }, "{what}: status");
        }
    });
}

fn l08() {
    both(|p| {
        for (what, regs) in every_reflection(p) {
            assert_eq!((regs.cr, regs.lr, regs.ctr, regs.xer, regs.cfar), (0, 0, 0, 0, 0), "{what}");
            assert_eq!(regs.sprg, [0; 4], "{what}");
            for masked in uv_power::abi::regs::MASKED_SPRS {
                let passed = regs.nip == 0x200 && matches!(masked.spr, Spr::DAR | Spr::DSISR);
                let expected = if passed { SECRET } else { masked.neutral };
                assert_eq!(regs.spr.get(masked.spr), Some(expected), "{what}");
            }
            assert_eq!(regs.spr.get(Spr::PPR), Some(0x0010_0000_0000_0000));
            assert_eq!((regs.vsr, regs.fpscr, regs.vscr), ([0; 64], 0, 0), "{what}");
            assert_eq!(regs.ic, 0, "{what}");
            assert_eq!(regs.dec, if regs.gpr[3] == 0xe0 { SECRET } else { 0x7fff_ffff }, "{what}");
            assert_eq!((regs.mmcr0, regs.mmcra), (0, 0), "{what}");
            assert_eq!(regs.amr, pick(p, 0, SECRET), "the firmware leaves AMR alone");
        }
    });
}

fn l09() {
    both(|p| {
        let steps =
            vec![sc2(UltracallNumber::UV_SHARE_PAGE, &[0x100, 1]), pause(), load_all(), store(0x100_0018, b"x")];
        let mut rig = Rig::secure(p, steps);
        rig.page_inval(0x100_0000);
        rig.resume(HvCode::H_SUCCESS, &[]);
        assert_eq!((rig.regs.hdar, rig.regs.asdr), (0x100_0018, 0x100_0000));
        assert_eq!(rig.regs.hdsisr, 0x4200_0000, "no translation, a store");
        assert_eq!(rig.regs.gpr[..31], [0; 31]);
    });
}

/// A secure VM with an interrupt at a `look`.
pub(crate) fn interrupted(profile: Profile, interrupt: impl Into<Interrupt>) -> Rig {
    let mut rig = Rig::secure(profile, vec![pause(), look()]);
    assert!(rig.machine.interrupt(VM, 0, interrupt));
    rig.resume(HvCode::H_SUCCESS, &[]);
    rig
}

fn l10() {
    both(|p| {
        assert!(interrupted(p, 0x980).regs.msr().contains(Msr::RI));
        assert!(!interrupted(p, 0x100).regs.msr().contains(Msr::RI));
        let after = Rig::secure(p, vec![pause()]).regs;
        assert!(!after.msr().contains(Msr::RI), "0xc00 is no hypervisor interrupt");
    });
}

fn l11() {
    both(|p| {
        let rig = interrupted(p, 0x500);
        if p == Profile::Documented {
            assert_eq!(rig.regs.nip, 0x500, "the document reflects it");
        } else {
            let regs = rig.returned(1);
            assert_eq!((regs.nip, regs.srr0), (0x504, regs.srr0));
            assert!(regs.srr0 != 0 && regs.msr().contains(Msr::S | Msr::SF | Msr::ME));
        }
    });
}

fn l12() {
    both(|p| {
        let mut rig = at(p, vec![hcall(0x58, &[0])]);
        let nip = rig.machine.guest_regs(VM, 0).unwrap().nip;
        rig.resume(HvCode(7), &[]);
        assert_eq!((rig.returned(0).gpr[3], rig.returned(0).nip), (7, nip));
    });
}

/// After an 0x980: what the guest sees when the hypervisor names `hsrr0` and `r2`.
pub(crate) fn inject(profile: Profile, hsrr0: u64, r2: u64) -> (u64, Regs) {
    let mut rig = interrupted(profile, 0x980);
    let nip = rig.machine.guest_regs(VM, 0).unwrap().nip;
    rig.regs.hsrr0 = hsrr0;
    rig.regs.hsrr1 = 1;
    rig.regs.gpr[2] = r2;
    rig.regs.gpr[3] = UltracallNumber::UV_RETURN.0;
    rig.regs.msr = Regs::hypervisor().msr;
    rig.machine.ultracall(&mut rig.regs);
    (nip, rig.returned(1))
}

fn l13() {
    both(|p| {
        let (nip, regs) = inject(p, 0x900, 0xffff_ffff_ffff_ffff);
        assert_eq!((regs.nip, regs.srr0), (0x904, nip), "one instruction after the vector");
        assert_eq!(regs.srr1 & 0x783f_0000, 0x783f_0000);
        assert!(regs.msr().contains(Msr::SF | Msr::S | Msr::ME | Msr::LE));
        // Documented: the interrupt number may stand in R2.
        let (nip, regs) = inject(p, 0x2004, 0x900);
        assert_eq!(regs.nip, pick(p, 0x904, nip + 4));
    });
}

fn l14() {
    both(|p| {
        let (nip, regs) = inject(p, 0x2000, 1 << 22);
        assert_eq!(regs.nip, nip + 4);
    });
}

fn l15() {
    both(|p| {
        let (nip, regs) = inject(p, 0x904, 1 << 22);
        assert_eq!(regs.nip, nip + 4);
    });
}

fn l16() {
    both(|p| {
        let mut rig = at(p, vec![pause(), pause()]);
        let used = rig.regs.clone();
        rig.resume(HvCode::H_SUCCESS, &[]);
        let live = rig.regs.clone();
        rig.regs = used;
        rig.resume(HvCode::H_SUCCESS, &[]);
        assert_eq!(UvCode::from_register(rig.regs.gpr[3]), UvCode::U_PARAMETER);
        rig.regs = Regs { gpr: core::array::from_fn(|n| if n == 31 { 0x2222_0000 } else { 0 }), ..live.clone() };
        rig.resume(HvCode::H_SUCCESS, &[]);
        assert_eq!(UvCode::from_register(rig.regs.gpr[3]), UvCode::U_PARAMETER, "a cookie that never was");
        rig.regs = live;
        rig.resume(HvCode::H_SUCCESS, &[]);
        assert_eq!(rig.steps(), 2);
    });
}

fn l17() {
    both(|p| {
        for change in [|regs: &mut Regs| regs.pidr = 5, |regs: &mut Regs| regs.vcpu = 4] {
            let mut rig = at(p, vec![pause(), look()]);
            change(&mut rig.regs);
            rig.resume(HvCode::H_SUCCESS, &[]);
            assert_eq!((rig.regs.nip, rig.regs.gpr[3]), (0xc00, HvCall::H_RTAS.0), "killed");
            assert_eq!(rig.steps(), 0);
        }
    });
}

pub(crate) fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// Word `index` of the block that the hypervisor sees.
pub(crate) fn word(rig: &Rig, index: u64) -> u32 {
    let mut bytes = [0; 4];
    rig.memory.read(HostAddr(HOST + rig.regs.gpr[4] + 4 * index), &mut bytes).unwrap();
    u32::from_be_bytes(bytes)
}

pub(crate) fn answer_word(rig: &Rig, index: u64, value: u32) {
    rig.memory.write(HostAddr(HOST + rig.regs.gpr[4] + 4 * index), &value.to_be_bytes()).unwrap();
}

/// An RTAS call, and a load of its result words.
pub(crate) fn rtas(block: &[u32], results: usize) -> Vec<GuestStep> {
    let at = BLOCK + 4 * block.len() as u64;
    vec![store(BLOCK, &words(block)), hcall(0xf000, &[BLOCK]), load(at, 4 * results)]
}

fn l18() {
    both(|p| {
        let (script, transcript) = Script::new([look()]);
        let mut rig = at(p, rtas(&[0x2005, 3, 1, 2, 0x4000, 0x77], 1));
        rig.machine.add_vcpu(VM, 2, Box::new(script));
        assert_eq!([word(&rig, 0), word(&rig, 3), word(&rig, 4)], [0x2005, 2, 0x4000]);
        let cookie = word(&rig, 5);
        assert!(cookie >= 0x2000);
        answer_word(&rig, 6, 0);
        rig.resume(HvCode::H_SUCCESS, &[]);
        assert_eq!(rig.loaded(2), [0; 4]);
        // The new virtual CPU comes back with the cookie as its R3.
        let mut regs = Regs { lpidr: VM, vcpu: 2, ..Regs::hypervisor() };
        regs.gpr[0] = cookie.into();
        regs.gpr[3] = UltracallNumber::UV_RETURN.0;
        rig.machine.ultracall(&mut regs);
        let seen = transcript.lock();
        let [uv_sim::guest::Outcome::Returned(guest)] = seen.as_slice() else { panic!("{seen:?}") };
        assert_eq!((guest.nip, guest.gpr[3]), (0x4004, 0x77));
        assert!(guest.msr().contains(Msr::S | Msr::SF | Msr::ME));
        // Once.
        let mut again = Regs { lpidr: VM, vcpu: 2, ..Regs::hypervisor() };
        again.gpr[0] = cookie.into();
        again.gpr[3] = UltracallNumber::UV_RETURN.0;
        rig.machine.ultracall(&mut again);
        assert_eq!(UvCode::from_register(again.gpr[3]), UvCode::U_PARAMETER);
    });
}

fn l19() {
    both(|p| {
        let mut rig = at(p, rtas(&[0x2002, 3, 2, 0, BUFFER as u32, 5000], 2));
        assert_eq!(word(&rig, 4), BUFFER as u32, "the handler refuses, the call is made as it stands");
        answer_word(&rig, 6, u32::MAX);
        rig.resume(HvCode::H_SUCCESS, &[]);
        assert_eq!(rig.loaded(2)[..4], [0xff; 4]);
    });
}

fn l20() {
    both(|p| {
        // nvram-fetch with a buffer: the hypervisor gets a bounce address, the guest the bytes.
        let mut steps = rtas(&[0x2002, 3, 2, 0, BUFFER as u32, 8], 2);
        steps.push(load(BUFFER, 8));
        let mut rig = at(p, steps);
        let bounce = u64::from(word(&rig, 4));
        assert_ne!(bounce, BUFFER);
        rig.memory.write(HostAddr(HOST + bounce), b"nvramxyz").unwrap();
        answer_word(&rig, 6, 0);
        answer_word(&rig, 7, 5);
        rig.resume(HvCode(0x55), &[]);
        assert_eq!(rig.returned(1).gpr[3], 0xf000, "the hypercall's result is not the guest's");
        assert_eq!(rig.loaded(2), words(&[0, 5]));
        assert_eq!(rig.loaded(3), *b"nvram\0\0\0", "as many bytes as came back");
        // Too many words: refused without a call.
        let rig = Rig::secure(p, rtas(&[0x2004, 16, 1], 1));
        assert_eq!(UvCode::from_register(rig.returned(1).gpr[3]), UvCode::U_PARAMETER);
    });
}

fn l21() {
    both(|p| {
        let mut rig = Rig::secure(p, vec![pause(), Step::Call(GuestInsn::Transaction), pause()]);
        let mark = rig.seen.len();
        let nip = rig.machine.guest_regs(VM, 0).unwrap().nip;
        rig.go();
        assert_eq!(rig.numbers()[mark..], [0x58], "the hypervisor is not entered for it");
        let regs = rig.returned(1);
        assert_eq!((regs.nip, regs.srr0), (0x700, nip));
        let status = |register: u64| register & 0x0008_0000;
        assert_eq!((status(regs.srr1) != 0, status(regs.msr) != 0), pick(p, (true, false), (false, true)));
    });
}
