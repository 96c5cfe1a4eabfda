//! A hypervisor that means harm from the first hypercall of a transition on, and a guest that means harm too: wrong answers
//! to `H_SVM_*`, made-up cookies and registers in `UV_RETURN`, calls at any time with any argument.
//!
//! Whatever happens: nothing panics or hangs, frames in use are the secure pages there are, no register outside of a
//! hypercall's window shows what the guest had in it, and no byte of the guest's own pages stands in normal memory.

use rand_core::Rng;
use uv_core::{HostAddr, NormalMemory};
use uv_power::abi::calls::hypercall;
use uv_power::abi::numbers::{HvCall, UltracallNumber};
use uv_power::abi::regs::{Lpid, Regs};
use uv_power::abi::ultracall::Ultracall;
use uv_power::abi::{HvCode, Msr, Privilege, Profile, UvCode};
use uv_power::sim::{GuestInsn, GuestStep, SvmState};
use uv_sim::guest::Step;
use uv_sim::rng::SimRng;

use crate::l_reflection::{SECRET, load_all};
use crate::rig::*;
use crate::watch::{MARKER, all_views, views};

const SEEDS: u64 = 28;
const TURNS: u32 = 120;
/// Pages that the guest never shares.
const OWN: u64 = 0x100_0000;
/// Pages that it shares and takes back.
const OTHERS: u64 = 0x110_0000;
const PAGES: u64 = 6;
/// Normal memory of the attacker.
const LOOT: u64 = 0x400_0000;

struct Dice(SimRng);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// A guest page: the guest's, one of the image, or none.
    fn page(&mut self) -> u64 {
        let page = self.below(PAGES) * PAGE;
        self.pick(&[OWN + page, OTHERS + page, KERNEL, TREE, RTAS, INITRD, GUEST - page, GUEST, 0])
    }

    fn argument(&mut self) -> u64 {
        let (page, wild, shift) = (self.page(), self.0.next_u64(), self.below(64));
        self.pick(&[7, 7, 0, 1, 12, 16, 16, page, page / PAGE, HOST + page, LOOT + page, 1 << shift, u64::MAX, wild])
    }

    /// Arguments that fit a call more often than chance would have it.
    fn arguments(&mut self, number: UltracallNumber) -> Vec<u64> {
        let real = self.pick(&[HOST, LOOT]) + self.page();
        let page = self.page();
        let mut args = match number {
            UltracallNumber::UV_PAGE_IN | UltracallNumber::UV_PAGE_OUT => vec![7, real, page, 0, 16],
            UltracallNumber::UV_PAGE_INVAL => vec![7, page, 16],
            UltracallNumber::UV_REGISTER_MEM_SLOT => vec![7, page, PAGE * self.below(8), 0, self.below(4)],
            UltracallNumber::UV_WRITE_PATE => vec![self.below(9), self.0.next_u64(), self.0.next_u64()],
            _ => vec![7, 0, 0, 0, 0, 0],
        };
        if self.one_in(3) {
            let at = self.below(args.len() as u64) as usize;
            args[at] = self.argument();
        }
        args
    }
}

/// A guest that works in its own pages and throws calls at the ultravisor and the hypervisor in between.
fn program(dice: &mut Dice) -> Vec<GuestStep> {
    let mut steps = Vec::new();
    for _ in 0..40 {
        let own = OWN + dice.below(PAGES) * PAGE + 16 * dice.below(4096);
        let other = OTHERS / PAGE + dice.below(PAGES);
        match dice.below(11) {
            0 => steps.push(sc2(UltracallNumber::UV_SHARE_PAGE, &[other, dice.below(3)])),
            1 => steps.push(sc2(UltracallNumber::UV_UNSHARE_PAGE, &[other, dice.below(3)])),
            2 => steps.push(sc2(UltracallNumber::UV_UNSHARE_ALL_PAGES, &[])),
            // It may call for what it likes, but not share what holds its marker.
            3 => {
                let number = dice.pick(UltracallNumber::ALL);
                if number != UltracallNumber::UV_SHARE_PAGE {
                    let args: Vec<u64> = (0..6).map(|_| dice.argument()).collect();
                    steps.push(sc2(number, &args));
                }
            }
            4 => {
                let number = if dice.one_in(2) { dice.below(0x500) & !3 } else { dice.0.next_u64() & 0xffff };
                let args = [dice.argument(), dice.argument()];
                steps.push(Step::Call(GuestInsn::hypercall(HvCall(number), &args)));
            }
            5 => {
                let mut block = [dice.pick(&TOKENS).1, dice.below(8) as u32, dice.below(4) as u32].to_vec();
                block.extend((0..8).map(|_| dice.argument() as u32));
                // Buffers are given to the hypervisor: none of them in the guest's own pages.
                block.iter_mut().filter(|word| (OWN..OTHERS).contains(&u64::from(**word))).for_each(|word| *word = 0);
                let bytes: Vec<u8> = block.iter().flat_map(|word| word.to_be_bytes()).collect();
                let at = 0x120_0000;
                steps.push(store(at, &bytes));
                steps.push(Step::Call(GuestInsn::hypercall(HvCall::H_RTAS, &[at + dice.pick(&[0, 0, 0, 4, PAGE])])));
            }
            6 => steps.push(load_all()),
            7 => steps.push(pause()),
            8 => steps.push(load(dice.argument() % (2 * GUEST), 8)),
            _ => steps.push(store(own, &MARKER)),
        }
    }
    steps
}

/// A call of the hypervisor out of turn.
fn call(rig: &mut Rig, dice: &mut Dice) {
    let number = if dice.one_in(20) { UltracallNumber(dice.0.next_u64()) } else { dice.pick(UltracallNumber::ALL) };
    // The end of the VM comes at the end: a script goes on as a normal guest afterwards.
    if matches!(number, UltracallNumber::UV_SVM_TERMINATE | UltracallNumber::UV_ESM) {
        return;
    }
    let args = dice.arguments(number);
    let mode = if dice.one_in(10) { dice.pick(&Privilege::ALL) } else { Privilege::Hypervisor };
    let mut regs = Regs { lpidr: dice.pick(&[VM, Lpid(0), Lpid(9)]), ..Regs::default() }.with_call(number, &args);
    regs.msr = (mode.msr() | Msr::SF | Msr::ME).bits();
    // A guest's calls with a lucky cookie would run the guest; those of `turn` do.
    if number == UltracallNumber::UV_RETURN {
        regs.gpr[31] = dice.pick(&[0, 0x2000, 0x2004, args[0]]);
    }
    rig.machine.ultracall(&mut regs);
    assert!(rig.regs.nip == 0xc00 || regs.nip == 0 || regs.nip == 0x700 || rig.regs.nip < 0x2000);
}

/// What the hypervisor does with an entry.
fn turn(rig: &mut Rig, dice: &mut Dice, honest: u64) {
    for _ in 0..dice.below(3) {
        call(rig, dice);
    }
    if rig.regs.nip == 0xc00 && dice.below(100) < honest {
        rig.serve();
        return;
    }
    // A vCPU number or PIDR that is not the guest's ends the VM: rarely, or nothing else would be seen.
    if dice.one_in(60) {
        rig.regs.vcpu = dice.pick(&[1, 4, u32::MAX]);
    }
    if dice.one_in(60) {
        rig.regs.pidr = 5;
    }
    if dice.one_in(8) {
        let kept = rig.regs.clone();
        rig.regs.gpr[31] = dice.pick(&[0, kept.gpr[31] ^ 4, kept.gpr[31] | 1 << 32, SECRET]);
        rig.regs.hsrr0 = dice.argument();
        rig.resume(HvCode::H_SUCCESS, &[]);
        let code = UvCode::from_register(rig.regs.gpr[3]);
        // A VM that was killed has its own answer.
        assert!(matches!(code, UvCode::U_PARAMETER | UvCode::U_STATE), "a cookie that is none: {code}");
        rig.regs = kept;
    }
    if dice.one_in(4) {
        rig.regs.hsrr0 = dice.pick(&[0x900, 0x500, 0x200, 0x904, 0x1fe0, 0x2000, u64::MAX]);
        rig.regs.hsrr1 = dice.0.next_u64();
    }
    let code = dice.pick(&[0, 0, 0, -4, -1, 1, 9999, i64::MIN, 0x2000]);
    let out: Vec<u64> = (0..9).map(|_| dice.argument()).collect();
    rig.resume(HvCode(code), &out);
}

impl Rig {
    /// One hypercall served as it should be.
    fn serve(&mut self) {
        self.stop_at = None;
        let args = core::array::from_fn(|index| self.regs.gpr[4 + index]);
        let seen = Seen { number: self.regs.gpr[3], args, secure: self.regs.came_from_secure_guest() };
        let code = self.answer(&seen).unwrap_or(HvCode::H_SUCCESS);
        self.resume(code, &[]);
    }
}

/// No register outside of the window shows what the guest had.
fn registers(rig: &Rig) {
    let regs = &rig.regs;
    if !regs.came_from_secure_guest() || regs.gpr[31] != regs.srr0 {
        return;
    }
    let inputs = match regs.nip {
        // The ultravisor's own calls have arguments too; none of them is a register of the guest.
        0xc00 => hypercall(HvCall(regs.gpr[3])).and_then(|row| row.window).map_or(0, |window| window.inputs),
        _ => 0,
    };
    for (register, value) in regs.gpr.iter().enumerate() {
        assert!((3..3 + inputs).contains(&register) || *value != SECRET, "R{register} at {:#x}", regs.nip);
    }
    let others = [regs.lr, regs.ctr, regs.xer, regs.cfar, regs.srr0, regs.srr1, regs.hsrr0, regs.fpscr, regs.ic];
    assert!(!others.contains(&SECRET) && !regs.sprg.contains(&SECRET));
    assert!(regs.vsr.iter().all(|vsr| *vsr == 0), "vector registers");
    assert!(regs.nip != 0xc00 || regs.gpr[3] == 0xe0 || regs.dec != SECRET, "decrementer");
}

/// No byte of the guest's own pages anywhere in normal memory.
fn memory(rig: &Rig) {
    let mut page = vec![0; PAGE as usize];
    for (start, len) in [(HOST, GUEST), (LOOT, GUEST + PAGE * PAGES)] {
        for offset in (0..len).step_by(PAGE as usize) {
            rig.memory.read(HostAddr(start + offset), &mut page).unwrap();
            let found = page.chunks_exact(MARKER.len()).any(|chunk| chunk == MARKER);
            assert!(!found, "a byte of the guest at {:#x}", start + offset);
        }
    }
}

pub(crate) fn transitions() {
    let mut secure = 0;
    for profile in Profile::ALL {
        for seed in 0..SEEDS {
            let mut dice = Dice(SimRng::from_seed(seed ^ 0x7a7a));
            let honest = dice.pick(&[100, 99, 97, 80, 30]);
            let mut rig = Rig::new(profile);
            rig.load(&Image::default());
            rig.stop_at = Some(HvCall::H_SVM_INIT_START.0);
            rig.make_secure(program(&mut dice));
            // An honest transition now and then, so that there is a secure guest to attack.
            if dice.one_in(2) {
                rig.stop_at = None;
                rig.run();
            }
            for _ in 0..TURNS {
                // A normal guest, or one that is over: nothing is left to attack.
                if !rig.regs.came_from_secure_guest() {
                    break;
                }
                turn(&mut rig, &mut dice, honest);
                views(&rig, (OWN / PAGE..OWN / PAGE + PAGES).chain(OTHERS / PAGE..OTHERS / PAGE + PAGES));
                registers(&rig);
            }
            // Only a guest that became secure had anything to hide.
            if rig.state() == Some(SvmState::Secure) {
                secure += 1;
                memory(&rig);
                all_views(&rig);
            }
            rig.call(UltracallNumber::UV_SVM_TERMINATE, &[7]);
            assert_eq!((rig.state(), rig.machine.secure_pages().0), (None, 0), "{profile:?} {seed}");
            let mut late = rig.regs.clone();
            late.gpr[3] = UltracallNumber::UV_RETURN.0;
            late.msr = Regs::hypervisor().msr;
            rig.machine.ultracall(&mut late);
            assert_eq!(late.gpr[3], UvCode::U_PARAMETER.to_register(), "nothing is left to return to");
        }
    }
    assert!(secure > SEEDS / 2, "only {secure} guests became secure");
}
