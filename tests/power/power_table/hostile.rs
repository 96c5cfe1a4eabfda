//! Random calls of a hypervisor that means harm, against a guest that keeps working. After every call the ultravisor's pages, the
//! engine's and the frames agree, no plaintext stands in normal memory, and the pages that the host took for itself are as it left
//! them. Nothing panics or hangs, the guest never reads a byte that is not its own, and nothing is left at the end.

use crate::rig::*;
use crate::watch::{Host, MARKER, all_views, marked, views};
use rand_core::Rng;
use uv_power::abi::numbers::{HvCall, UltracallNumber};
use uv_power::abi::regs::{Lpid, Regs};
use uv_power::abi::ultracall::Ultracall;
use uv_power::abi::{Privilege, Profile};
use uv_power::sim::GuestStep;
use uv_sim::guest::Outcome;
use uv_sim::rng::SimRng;

const FIRST: u64 = 0x100_0000;
const PAGES: u64 = 8;
const SEEDS: u64 = 24;
const CALLS: u32 = 400;
/// Pages that the guest keeps to itself, full of a marker.
const OWN: u64 = 0x120_0000;
const OWN_PAGES: u64 = 4;
/// Normal memory of the attacker.
const LOOT: u64 = 0x400_0000;
/// A file of the blob that no guest of these runs reads.
const FILE: &str = "rootd";

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
        let own = OWN + self.below(OWN_PAGES) * PAGE;
        let wild = self.0.next_u64();
        self.pick(&[
            7,
            16,
            0,
            1,
            HOST + FIRST + page * PAGE,
            FIRST + page * PAGE,
            FIRST / PAGE + page,
            LOOT + page * PAGE,
            own,
            HOST + own,
            1 << 48,
            u64::MAX,
            wild,
        ])
    }
}

/// A guest that fills pages of its own, then writes and reads others, shares some of those and takes them back.
fn program(dice: &mut Dice) -> Vec<GuestStep> {
    let fill = (0..OWN_PAGES).map(|page| store(OWN + page * PAGE, &marked()));
    let work = (0..64).flat_map(|_| {
        let gfn = FIRST / PAGE + dice.below(PAGES);
        let at = gfn * PAGE;
        match dice.below(8) {
            0 => vec![sc2(UltracallNumber::UV_SHARE_PAGE, &[gfn, dice.below(3)])],
            1 => vec![sc2(UltracallNumber::UV_UNSHARE_PAGE, &[gfn, dice.below(3)])],
            2 => vec![pause()],
            3 => vec![sc2(UltracallNumber(dice.argument()), &[dice.argument(), dice.argument()])],
            _ => vec![store(at, &gfn.to_be_bytes()), pause(), load(at, 8)],
        }
    });
    let look = (0..OWN_PAGES).map(|page| load(OWN + page * PAGE, MARKER.len()));
    fill.chain(work.collect::<Vec<_>>()).chain(look).collect()
}

fn hostile_call(rig: &mut Rig, dice: &mut Dice, host: &mut Host) {
    let number = if dice.below(20) == 0 { UltracallNumber(dice.0.next_u64()) } else { dice.pick(UltracallNumber::ALL) };
    // Ending the VM, or its slots, on purpose comes last.
    if matches!(number, UltracallNumber::UV_SVM_TERMINATE | UltracallNumber::UV_UNREGISTER_MEM_SLOT) {
        return;
    }
    let mut args: Vec<u64> = (0..9).map(|_| dice.argument()).collect();
    // The guest's own slot stays: without it every access would be one to a device.
    if number == UltracallNumber::UV_REGISTER_MEM_SLOT && args[4] & 0xffff == 0 {
        args[4] = 1;
    }
    // Paging calls that fit, more often than chance would have it.
    if dice.below(2) == 0 {
        let (shared, own, loot) = (dice.below(PAGES) * PAGE, dice.below(OWN_PAGES) * PAGE, dice.below(PAGES) * PAGE);
        let page = dice.pick(&[FIRST + shared, OWN + own]);
        let real = dice.pick(&[HOST + page, LOOT + loot]);
        match number {
            UltracallNumber::UV_PAGE_IN | UltracallNumber::UV_PAGE_OUT => {
                args[..5].copy_from_slice(&[7, real, page, 0, 16])
            }
            UltracallNumber::UV_PAGE_INVAL => args[..3].copy_from_slice(&[7, page, 16]),
            _ => {}
        }
    }
    if number == UltracallNumber::UV_RETURN {
        let mut regs =
            Regs { lpidr: dice.pick(&[VM, Lpid(0), Lpid(9)]), ..Regs::hypervisor() }.with_call(number, &args);
        regs.gpr[31] = dice.pick(&[0, 0x2000, rig.regs.gpr[30], args[0]]);
        rig.machine.ultracall(&mut regs);
        return;
    }
    let mode = if dice.below(8) == 0 { dice.pick(&Privilege::ALL) } else { Privilege::Hypervisor };
    if number == UltracallNumber::UV_ESMB_GET_FILE {
        return file(rig, dice);
    }
    // A guest's calls by registers alone are those of other VMs.
    let lpid = dice.pick(&[Lpid(0), Lpid(9)]);
    let (code, _) = raw(&rig.machine, mode, lpid, number, &args);
    host.called(rig, number, &args, code);
}

/// The pass phrase that the guest's owner put into the blob: nobody but the secure VM gets it (in the firmware's profile, nobody who
/// does not name the VM).
fn file(rig: &Rig, dice: &mut Dice) {
    let mode = dice.pick(&Privilege::ALL);
    let secure = matches!(mode, Privilege::SecureSupervisor | Privilege::SecureProblem);
    let firmware = rig.machine.profile() == Profile::Firmware;
    let lpid = if secure || firmware { dice.pick(&[Lpid(0), Lpid(9)]) } else { dice.pick(&[VM, Lpid(0), Lpid(9)]) };
    let mut args = vec![dice.pick(&[0, 0, 8, 64, u64::MAX])];
    args.extend(name(FILE));
    let (code, regs) = raw(&rig.machine, mode, lpid, UltracallNumber::UV_ESMB_GET_FILE, &args);
    assert!(code.0 < 0, "{mode:?} {lpid}: {code}");
    assert!(regs.gpr[4..13] == args, "{mode:?}: nothing is shown");
}

/// Guest bytes of a page that was secure all the time between store and load.
fn check(rig: &Rig, steps: &[GuestStep]) {
    let transcript = rig.transcript.as_ref().unwrap().lock();
    for (outcome, step) in transcript.iter().skip(1).zip(steps) {
        if let (Outcome::Loaded(bytes), uv_sim::guest::Step::Load { at, .. }) = (outcome, step) {
            if (OWN..OWN + OWN_PAGES * PAGE).contains(&at.0) {
                assert!(**bytes == MARKER, "a page that was never shared: {:x?}", bytes.as_slice());
                continue;
            }
            let own = (at.0 / PAGE).to_be_bytes();
            // A page that the guest shares is the hypervisor's to write: it writes zeros and bytes of one kind.
            let foreign = bytes.iter().all(|byte| *byte == bytes[0]);
            assert!(**bytes == own || foreign, "a byte that nobody wrote: {:x?}", bytes.as_slice());
        }
    }
}

pub(crate) fn calls() {
    let (mut looked, mut taken) = (0, 0);
    for profile in Profile::ALL {
        for seed in 0..SEEDS {
            let mut dice = Dice(SimRng::from_seed(seed));
            let steps = program(&mut dice);
            let mut rig = Rig::secure(profile, steps.clone());
            rig.stop_at = Some(HvCall::H_SVM_PAGE_IN.0);
            let mut host =
                Host::new(&[(HOST + FIRST, PAGES * PAGE), (HOST + OWN, OWN_PAGES * PAGE), (LOOT, PAGES * PAGE)]);
            let pages = || (FIRST / PAGE..FIRST / PAGE + PAGES).chain(OWN / PAGE..OWN / PAGE + OWN_PAGES);
            let watched = |rig: &Rig, host: &Host| {
                views(rig, pages());
                host.search(rig);
            };
            for _ in 0..CALLS {
                for _ in 0..dice.below(4) {
                    hostile_call(&mut rig, &mut dice, &mut host);
                    watched(&rig, &host);
                }
                if dice.below(4) == 0 {
                    let page = HOST + FIRST + dice.below(PAGES) * PAGE;
                    host.write(&rig, page, 0xee);
                }
                host.serve(&mut rig);
                watched(&rig, &host);
                if rig.steps() >= steps.len() {
                    break;
                }
            }
            all_views(&rig);
            taken += host.taken;
            looked += u32::from(rig.steps() >= steps.len());
            check(&rig, &steps);
            rig.call(UltracallNumber::UV_SVM_TERMINATE, &[7]);
            rig.call(UltracallNumber::UV_SVM_TERMINATE, &[9]);
            for lpid in 0..16 {
                rig.call(UltracallNumber::UV_SVM_TERMINATE, &[lpid]);
            }
            assert_eq!(rig.state(), None);
            assert_eq!(rig.machine.secure_pages().0, 0, "{profile:?} {seed}");
            host.search(&rig);
        }
    }
    assert!(looked > 0 && taken > 0, "{looked} guests came to their end, {taken} pages were used again");
}
