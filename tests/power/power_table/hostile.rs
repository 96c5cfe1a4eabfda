//! Random calls of a hypervisor that means harm, against a guest that keeps working: nothing panics or hangs, the guest
//! never reads a byte that is not its own, and nothing is left at the end.

use rand_core::Rng;
use uv_power::abi::numbers::UvCall;
use uv_power::abi::regs::{Lpid, Regs};
use uv_power::abi::ultracall::Ultracall;
use uv_power::abi::{Privilege, Profile};
use uv_power::sim::GuestStep;
use uv_sim::guest::Outcome;
use uv_sim::rng::SimRng;

use crate::rig::*;

const FIRST: u64 = 0x100_0000;
const PAGES: u64 = 8;
const SEEDS: u64 = 24;
const CALLS: u32 = 400;

struct Dice(SimRng);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// An argument: mostly something that means something.
    fn argument(&mut self) -> u64 {
        let page = self.below(PAGES);
        let wild = self.0.next_u64();
        self.pick(&[
            7,
            16,
            0,
            1,
            HOST + FIRST + page * PAGE,
            FIRST + page * PAGE,
            FIRST / PAGE + page,
            0x400_0000 + page * PAGE,
            1 << 48,
            u64::MAX,
            wild,
        ])
    }
}

/// A guest that writes and reads its own pages, shares some and takes them back.
fn program(dice: &mut Dice) -> Vec<GuestStep> {
    (0..64)
        .flat_map(|_| {
            let gfn = FIRST / PAGE + dice.below(PAGES);
            let at = gfn * PAGE;
            match dice.below(8) {
                0 => vec![sc2(UvCall::UV_SHARE_PAGE, &[gfn, dice.below(3)])],
                1 => vec![sc2(UvCall::UV_UNSHARE_PAGE, &[gfn, dice.below(3)])],
                2 => vec![pause()],
                3 => vec![sc2(UvCall(dice.argument()), &[dice.argument(), dice.argument()])],
                _ => vec![store(at, &gfn.to_be_bytes()), pause(), load(at, 8)],
            }
        })
        .collect()
}

fn hostile_call(rig: &mut Rig, dice: &mut Dice) {
    let number = if dice.below(20) == 0 { UvCall(dice.0.next_u64()) } else { dice.pick(UvCall::ALL) };
    // Ending the VM, or its slots, on purpose comes last.
    if matches!(number, UvCall::UV_SVM_TERMINATE | UvCall::UV_UNREGISTER_MEM_SLOT) {
        return;
    }
    let args: Vec<u64> = (0..6).map(|_| dice.argument()).collect();
    if number == UvCall::UV_RETURN {
        let mut regs =
            Regs { lpidr: dice.pick(&[VM, Lpid(0), Lpid(9)]), ..Regs::hypervisor() }.with_call(number, &args);
        regs.gpr[31] = dice.pick(&[0, 0x2000, rig.regs.gpr[30], args[0]]);
        rig.machine.ultracall(&mut regs);
        return;
    }
    let mode = if dice.below(8) == 0 { dice.pick(&Privilege::ALL) } else { Privilege::Hypervisor };
    raw(&rig.machine, mode, dice.pick(&[Lpid(0), Lpid(9)]), number, &args);
}

/// Guest bytes of a page that was secure all the time between store and load.
fn check(rig: &Rig, steps: &[GuestStep]) {
    let transcript = rig.transcript.as_ref().unwrap().lock();
    for (outcome, step) in transcript.iter().skip(1).zip(steps) {
        if let (Outcome::Loaded(bytes), uv_sim::guest::Step::Load { at, .. }) = (outcome, step) {
            let own = (at.0 / PAGE).to_be_bytes();
            // A page that the guest shares is the hypervisor's to write; this hypervisor writes 0xee and zeros.
            let foreign = bytes.iter().all(|byte| *byte == 0xee) || bytes.iter().all(|byte| *byte == 0);
            assert!(**bytes == own || foreign, "a byte that nobody wrote: {:x?}", bytes.as_slice());
        }
    }
}

pub(crate) fn calls() {
    for profile in Profile::ALL {
        for seed in 0..SEEDS {
            let mut dice = Dice(SimRng::from_seed(seed));
            let steps = program(&mut dice);
            let mut rig = Rig::secure(profile, steps.clone());
            for _ in 0..CALLS {
                for _ in 0..dice.below(4) {
                    hostile_call(&mut rig, &mut dice);
                }
                if dice.below(4) == 0 {
                    rig.fill(HOST + FIRST + dice.below(PAGES) * PAGE, 0xee);
                }
                match rig.regs.nip {
                    0xc00 => rig.go(),
                    _ => rig.resume(uv_power::abi::HvCode::H_SUCCESS, &[]),
                }
                let (used, all) = rig.machine.secure_pages();
                assert!(used <= all);
                if rig.steps() >= steps.len() {
                    break;
                }
            }
            check(&rig, &steps);
            rig.call(UvCall::UV_SVM_TERMINATE, &[7]);
            rig.call(UvCall::UV_SVM_TERMINATE, &[9]);
            for lpid in 0..16 {
                rig.call(UvCall::UV_SVM_TERMINATE, &[lpid]);
            }
            assert_eq!(rig.state(), None);
            assert_eq!(rig.machine.secure_pages().0, 0, "{profile:?} {seed}");
        }
    }
}
