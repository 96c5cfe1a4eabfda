//! Several virtual CPUs at work, each in a thread, while another thread of the hypervisor pages their memory out under them and
//! withdraws what they share: every byte that a guest stored is the byte that it loads.

use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use uv_core::{HostAddr, NormalMemory};
use uv_power::abi::numbers::{HvCall, UltracallNumber};
use uv_power::abi::regs::Regs;
use uv_power::abi::ultracall::{self, Ultracall};
use uv_power::abi::{HvCode, Profile, UvCode};
use uv_power::sim::{GuestStep, Machine};
use uv_sim::guest::{Outcome, Script, Transcript};

use crate::l_reflection::{answer_word, rtas, word};
use crate::rig::*;
use crate::watch::all_views;

const CPUS: u64 = 3;
const ROUNDS: u64 = 40;
/// Pages of each virtual CPU.
const PAGES: u64 = 4;
const FIRST: u64 = 0x100_0000;

fn at(cpu: u64, page: u64) -> u64 {
    FIRST + (cpu * PAGES + page) * PAGE
}

/// What a round leaves in a page.
fn content(cpu: u64, page: u64, round: u64) -> [u8; 32] {
    let word = 0x5ec2_0000_0000_0000 | cpu << 32 | page << 16 | round;
    let mut bytes = [0; 32];
    bytes
        .chunks_exact_mut(8)
        .zip(0_u64..)
        .for_each(|(chunk, n)| chunk.copy_from_slice(&(word ^ n << 40).to_be_bytes()));
    bytes
}

/// Every round: store into all pages, load what was stored. The last page is shared before a store and taken back after its load.
fn program(cpu: u64) -> Vec<GuestStep> {
    let mut steps = Vec::new();
    for round in 0..ROUNDS {
        let last = at(cpu, PAGES - 1) / PAGE;
        if round % 8 == 0 {
            steps.push(sc2(UltracallNumber::UV_SHARE_PAGE, &[last, 1]));
        }
        steps.extend((0..PAGES).map(|page| store(at(cpu, page) + 64 * round, &content(cpu, page, round))));
        steps.push(pause());
        steps.extend((0..PAGES).rev().map(|page| load(at(cpu, page) + 64 * round, 32)));
        if round % 8 == 4 {
            steps.push(sc2(UltracallNumber::UV_UNSHARE_PAGE, &[last, 1]));
        }
    }
    steps
}

/// What the loads of a program must have given.
fn check(transcript: &Transcript<Box<Regs>>, skip: usize, cpu: u64) {
    let seen = transcript.lock();
    let loaded: Vec<_> = seen
        .iter()
        .skip(skip)
        .filter_map(|outcome| if let Outcome::Loaded(bytes) = outcome { Some(bytes.to_vec()) } else { None })
        .collect();
    assert_eq!(loaded.len() as u64, ROUNDS * PAGES, "virtual CPU {cpu} came to its end");
    let expected = (0..ROUNDS).flat_map(|round| (0..PAGES).rev().map(move |page| content(cpu, page, round)));
    for (bytes, expected) in loaded.iter().zip(expected) {
        assert_eq!(bytes.as_slice(), expected, "virtual CPU {cpu}");
    }
}

/// Gives the pager time to take pages.
fn wait(moved: &AtomicU64) {
    let (goal, start) = (moved.load(Ordering::Relaxed) + 2, Instant::now());
    while moved.load(Ordering::Relaxed) < goal && start.elapsed() < Duration::from_millis(50) {
        thread::yield_now();
    }
}

/// Serves one virtual CPU until its program has ended. A page that it gives stays until the ultravisor has taken notice: a
/// hypervisor that takes it away before that loses the VM.
fn serve(machine: &Machine, regs: &mut Regs, moved: &AtomicU64, giving: &RwLock<()>) {
    loop {
        let given = (regs.nip, HvCall(regs.gpr[3])) == (0xc00, HvCall::H_SVM_PAGE_IN);
        let _given = given.then(|| giving.read().unwrap());
        let code = match (regs.nip, HvCall(regs.gpr[3])) {
            (0xc00, HvCall::H_CEDE) => return,
            (0xc00, HvCall::H_SVM_PAGE_IN) => {
                let gpa = regs.gpr[4];
                // A page whose lock another thread has is asked for again.
                let page_in = || ultracall::call(machine, UltracallNumber::UV_PAGE_IN, &[7, HOST + gpa, gpa, 0, 16]).0;
                let code = (0..1000).map(|_| page_in()).find(|code| *code != UvCode::U_BUSY);
                if code == Some(UvCode::U_SUCCESS) { HvCode::H_SUCCESS } else { HvCode::H_PARAMETER }
            }
            // A shared page that was withdrawn: given back.
            (0xe00, _) => {
                let gpa = regs.asdr;
                ultracall::call(machine, UltracallNumber::UV_PAGE_IN, &[7, HOST + gpa, gpa, 0, 16]);
                HvCode::H_SUCCESS
            }
            (0xc00 | 0x980 | 0xe20, _) => {
                wait(moved);
                HvCode::H_SUCCESS
            }
            (vector, number) => panic!("{vector:#x} {number}"),
        };
        regs.gpr[0] = code.to_register();
        regs.gpr[2] = regs.srr1;
        regs.gpr[3] = UltracallNumber::UV_RETURN.0;
        regs.msr = Regs::hypervisor().msr;
        machine.ultracall(regs);
    }
}

/// Pages out and withdraws whatever it can until the guests are done. A guest's bytes never stand where it reads.
fn pager(rig: &Machine, memory: &dyn NormalMemory, over: &AtomicBool, moved: &AtomicU64, giving: &RwLock<()>) {
    let mut turn = 0_u64;
    while !over.load(Ordering::Acquire) {
        turn = turn.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let (cpu, page) = ((turn >> 40) % CPUS, (turn >> 50) % PAGES);
        let gpa = at(cpu, page);
        if page == PAGES - 1 {
            // It is shared now and then; what stands in its normal page is the guest's gift.
            if let Ok(_nobody) = giving.try_write() {
                ultracall::call(rig, UltracallNumber::UV_PAGE_INVAL, &[7, gpa, 16]);
            }
            continue;
        }
        if ultracall::call(rig, UltracallNumber::UV_PAGE_OUT, &[7, HOST + gpa, gpa, 0, 16]).0 == UvCode::U_SUCCESS {
            moved.fetch_add(1, Ordering::Relaxed);
            let mut bytes = [0; 8];
            for round in 0..ROUNDS {
                memory.read(HostAddr(HOST + gpa + 64 * round), &mut bytes).unwrap();
                assert_ne!(bytes[..2], [0x5e, 0xc2], "plaintext of a guest");
            }
        }
        thread::yield_now();
    }
}

pub(crate) fn run() {
    for profile in Profile::ALL {
        // Virtual CPU 0 starts the others, then works as they do.
        let mut steps = Vec::new();
        for cpu in 1..CPUS {
            steps.extend(rtas(&[0x2005, 3, 1, cpu as u32, 0x4000, 0], 1));
        }
        let before = steps.len() + 1;
        steps.extend(program(0));
        let mut rig = Rig::secure(profile, steps);
        let mut others = Vec::new();
        for cpu in 1..CPUS {
            let (script, transcript) = Script::new(program(cpu));
            rig.machine.add_vcpu(VM, cpu as u32, Box::new(script));
            let mut regs = Regs { lpidr: VM, vcpu: cpu as u32, ..Regs::hypervisor() };
            (regs.gpr[0], regs.gpr[3]) = (word(&rig, 5).into(), UltracallNumber::UV_RETURN.0);
            answer_word(&rig, 6, 0);
            others.push((regs, transcript));
            if cpu + 1 < CPUS {
                rig.resume(HvCode::H_SUCCESS, &[]);
            }
        }
        let (over, moved) = (AtomicBool::new(false), AtomicU64::new(0));
        let (machine, moved, giving) = (&rig.machine, &moved, &RwLock::new(()));
        let memory = &*rig.memory;
        let mut own = rig.regs.clone();
        thread::scope(|scope| {
            let pages = scope.spawn(|| pager(machine, memory, &over, moved, giving));
            let running: Vec<_> = others
                .iter_mut()
                .map(|(regs, _)| {
                    scope.spawn(move || {
                        machine.ultracall(regs);
                        serve(machine, regs, moved, giving);
                    })
                })
                .collect();
            let first = scope.spawn(|| serve(machine, &mut own, moved, giving));
            let done: Vec<_> = running.into_iter().chain([first]).map(thread::ScopedJoinHandle::join).collect();
            over.store(true, Ordering::Release);
            pages.join().unwrap();
            assert!(done.iter().all(Result::is_ok));
        });
        check(rig.transcript.as_ref().unwrap(), before, 0);
        for (cpu, (_, transcript)) in (1..).zip(&others) {
            check(transcript, 0, cpu);
        }
        assert!(moved.load(Ordering::Relaxed) > ROUNDS, "pages went out under the guests: {moved:?}");
        all_views(&rig);
    }
}
