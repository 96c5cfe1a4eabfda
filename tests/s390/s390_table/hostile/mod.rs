//! Random calls of a hypervisor that means harm and of its guests: nothing panics or hangs, and what must always hold does.
//!
//! | held | how it is seen | after |
//! |---|---|---|
//! | a secure frame is in use for each secure page, and for nothing else | the machine's counts | every call |
//! | no page of a guest's plaintext is in sight | the begin of each page of guest memory, read by the hypervisor | every call |
//! | a page that the hypervisor took back and filled is as it left it | the hypervisor reads it | every entry |
//! | storage that was donated is out of reach, page by page | reads and writes of the hypervisor | every few calls |
//! | no plaintext of a guest's private pages is in sight | all guest memory and work areas, read by the hypervisor | every few calls |
//!
//! One more configuration is being unpacked all the time, and its tables lead to frames of the others.
//!
//! After everything was destroyed, all of the machine's memory is the hypervisor's again.

mod calls;
mod dice;
mod donated;
mod guest;
mod moves;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use uv_core::{HostAddr, NormalMemory};
use uv_s390::abi::se_header::PlaintextControlFlags;
use uv_s390::abi::uvc::UvRc;
use uv_s390::abi::uvcb::{DestroyFast, NoData, UvCommand};
use uv_s390::sim::Generation;
use uv_sim::rng::SimRng;
use zerocopy::IntoBytes;

use crate::rig::{END, GUEST_LEN, Guest, OK, Rig, UV_BASE, Vcpu, home, sealed};
use dice::Dice;
use donated::Donated;
use guest::program;

/// The machines that are tried.
pub(crate) const MACHINES: &[(&str, Generation)] =
    &[("z15", Generation::Z15), ("z16", Generation::Z16), ("z17", Generation::Z17)];

const SEEDS: u64 = 8;
const CALLS: u64 = 700;
/// What a guest writes to its private pages, and those pages. It never shares them.
const SECRET: [u8; 16] = *b"only for a guest";
const PRIVATE: Range<u64> = 0x1_0000..0x3_0000;
/// Instructions of a guest CPU until it halts.
const STEPS: u32 = 400;
/// Guests whose memory the hypervisor watches; more may come up by its own calls.
const GUESTS: u64 = 2;
/// Number of the configuration that is never verified.
const UNPACKING: u64 = GUESTS + 3;
/// What the hypervisor fills its own pages with.
const OWN: [u8; 16] = *b"the host's again";

/// The hypervisor: what it works with, and what it remembers.
struct Hostile {
    rig: Rig,
    dice: Dice,
    guests: Vec<(Guest, Vcpu)>,
    unpacking: Guest,
    donated: Donated,
    /// Pages that it has seen, to bring them back elsewhere and later.
    kept: Vec<Vec<u8>>,
    /// Calls that were done, most pages that were secure at once, steps that guests took: to know that the test tests.
    done: u64,
    secure: u64,
    steps: Arc<AtomicU64>,
    /// Pages that were unpacked, and resets that were done.
    unpacked: u64,
    resets: u64,
}

impl Hostile {
    fn new(generation: Generation, seed: u64) -> Self {
        let rig = Rig::ready_on(generation);
        let mut donated = Donated::default();
        let (mut guests, steps) = (Vec::new(), Arc::<AtomicU64>::default());
        for n in 0..GUESTS {
            let (guest, cpu, _) = rig.booted(n, []);
            let starts = seed * GUESTS + n;
            let count = Arc::clone(&steps);
            rig.machine.set_guest(cpu.state, move |_| program(starts, Arc::clone(&count)));
            donated.follow(&rig, guest.create.as_bytes(), UvRc::EXECUTED);
            donated.cpus.insert(cpu.handle, cpu.storage..cpu.storage + rig.info.cpu_stor_len.get());
            guests.push((guest, cpu));
        }
        let unpacking = rig.guest(UNPACKING);
        donated.follow(&rig, unpacking.create.as_bytes(), UvRc::EXECUTED);
        let (header, _) = sealed(&[&rig.key], PlaintextControlFlags::PCKMO, |_, _| ());
        assert_eq!(rig.set_params(&unpacking, header.as_bytes()), OK);
        let dice = Dice(SimRng::from_seed(seed).fork("hypervisor"));
        let (kept, done, secure) = (Vec::new(), 0, 0);
        Self { rig, dice, guests, unpacking, donated, kept, done, secure, steps, unpacked: 0, resets: 0 }
    }

    /// What holds after every call, as far as it is seen quickly.
    fn look(&self) {
        let machine = &self.rig.machine;
        let secure: u64 = self.donated.confs.keys().map(|conf| machine.page_counts(*conf).unwrap().secure).sum();
        assert_eq!(machine.secure_frames_in_use(), secure);
        for base in (0..GUESTS).chain([UNPACKING]).map(home) {
            for at in (base..base + PRIVATE.end + 0x1_0000).step_by(0x1000) {
                let mut begin = SECRET;
                begin[0] ^= 1;
                let _ = self.rig.host.read(HostAddr(at), &mut begin);
                assert_ne!(begin, SECRET, "a page at {at:#x} is in sight");
            }
        }
    }

    fn check(&mut self) {
        let machine = &self.rig.machine;
        let secure: u64 = self.donated.confs.keys().map(|conf| machine.page_counts(*conf).unwrap().secure).sum();
        assert_eq!(machine.secure_frames_in_use(), secure);
        self.secure = self.secure.max(secure);
        assert!(self.rig.is_closed(UV_BASE));
        assert!(self.donated.pages().all(|page| self.rig.is_closed(page)));
        let in_sight = |at: u64| {
            let mut page = [0; 4096];
            let read = self.rig.host.read(HostAddr(at), &mut page);
            read.is_ok() && page.chunks_exact(16).any(|chunk| chunk == SECRET)
        };
        for (guest, cpu) in &self.guests {
            let pages = (0..PRIVATE.end + 0x1_0000).step_by(0x1000).map(|page| guest.base + page);
            let areas = [guest.base + GUEST_LEN, cpu.state.0 & !0xfff, (cpu.state.0 & !0xfff) + 0x1000];
            assert!(!pages.chain(areas).any(in_sight), "a secret is in sight");
        }
    }

    /// Everything is ended; the hypervisor has its memory back.
    fn end(mut self) {
        for cpu in self.donated.cpus.keys().copied().collect::<Vec<_>>() {
            let mut block = NoData::new(UvCommand::DESTROY_SEC_CPU, cpu);
            assert_eq!(self.issue(block.as_mut_bytes()), Ok(OK));
        }
        let fast = self.rig.info.calls.has(UvCommand::DESTROY_SEC_CONF_FAST) == Some(true);
        for (n, conf) in self.donated.confs.keys().copied().collect::<Vec<_>>().into_iter().enumerate() {
            let codes = if fast && n % 2 == 0 {
                self.issue(DestroyFast::new(conf).as_mut_bytes())
            } else {
                self.issue(NoData::new(UvCommand::DESTROY_SEC_CONF, conf).as_mut_bytes())
            };
            assert_eq!(codes, Ok(OK));
        }
        assert_eq!(self.rig.machine.secure_frames_in_use(), 0);
        self.check();
        // What was destroyed fast has left frames of nobody.
        for page in (0..UV_BASE).step_by(0x1000).filter(|page| self.rig.host.check(HostAddr(*page), 1).is_err()) {
            assert_eq!(self.rig.storage(UvCommand::DESTR_SEC_STOR, page), OK);
            assert_eq!(self.rig.word(page), 0);
        }
        assert_eq!(self.rig.host.check(HostAddr(0), UV_BASE), Ok(()));
        self.rig.machine.load_normal();
        assert_eq!(self.rig.host.check(HostAddr(0), END), Ok(()));
    }
}

/// Runs a hostile hypervisor on a machine of this generation.
pub(crate) fn random_calls(generation: Generation) {
    for seed in 0..SEEDS {
        let mut hostile = Hostile::new(generation, seed);
        for round in 0..CALLS {
            for _ in 0..hostile.dice.below(4) {
                hostile.call(round < CALLS * 3 / 4);
            }
            match hostile.dice.below(48) {
                0..=11 => hostile.disturb(),
                12 if round < CALLS * 3 / 4 => hostile.reset(),
                _ => hostile.enter(),
            }
            if round % 16 == 0 {
                hostile.check();
            }
        }
        hostile.check();
        let (done, secure, steps) = (hostile.done, hostile.secure, hostile.steps.load(Ordering::Relaxed));
        assert!(done > 100 && secure > 20 && steps > 100, "calls {done}, secure pages {secure}, steps {steps}");
        assert!(hostile.unpacked > 5 && hostile.resets > 1, "{} unpacked, {} resets", hostile.unpacked, hostile.resets);
        hostile.end();
    }
}
