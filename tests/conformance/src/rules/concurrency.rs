//! Calls side by side.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use uv_core::{ErrorKind, PageState, VmState};

use super::SECRET;
use crate::Ability::{PageOut, SharePages};
use crate::Rule;
use crate::bench::{Bench, ensure, patient};
use crate::erased::Failure;
use crate::rule::{Act, rule};

const BESIDE: &str = "two calls on one page at the same time leave the page as if they came one after the other, or one of them gets \
                      Busy";

pub(super) const RULES: &[Rule] = &[
    rule(
        ["threads", "threads that move the same pages at once lose nothing", "PageIn", BESIDE],
        &[Act::Threads, Act::Loaded],
        threads,
    )
    .needs(&[PageOut]),
    rule(
        ["threads-ranges", "threads that move overlapping ranges lose nothing", "PageIn", BESIDE],
        &[Act::Threads, Act::Loaded],
        overlapping,
    )
    .needs(&[PageOut]),
    rule(
        [
            "guest-beside-paging",
            "a guest that counts in its pages while they go out and in finds every count",
            "PageIn",
            "All calls take &self and may come from many threads",
        ],
        &[Act::Threads, Act::Stored, Act::Loaded, Act::Faulted],
        counting,
    )
    .needs(&[PageOut]),
    rule(
        [
            "looking-beside-paging",
            "states and counts can be asked while pages move, and are states and counts that can be",
            "SecureVm",
            "Who calls: the hypervisor, from any thread.",
        ],
        &[Act::Threads, Act::Loaded],
        looking,
    )
    .needs(&[PageOut]),
    rule(
        [
            "end-beside-paging",
            "a VM ends beside pages that move: nobody gets anything but busy or wrong state, and nothing is left",
            "SecureVm::terminate",
            "on any error the VM is as before and the call can be made again",
        ],
        &[Act::Threads, Act::Entered],
        ending,
    )
    .needs(&[PageOut]),
    rule(
        [
            "withdraw-beside-guest",
            "a guest loses no store to a shared page that is withdrawn and brought back beside it",
            "SharePages::withdraw",
            "The content stays in the normal page.",
        ],
        &[Act::Threads, Act::Shared, Act::Loaded],
        withdrawing,
    )
    .needs(&[SharePages]),
    rule(
        ["two-vms-beside", "the pages of two VMs move at once", "SecureVm", "What is done to one VM changes no other."],
        &[Act::Threads, Act::Loaded],
        two_vms,
    )
    .needs(&[PageOut]),
];

/// Whoever comes second finds the page busy; nothing else may be the matter.
fn passes(result: Result<(), Failure>) -> Result<(), String> {
    match result {
        Err(e) if !matches!(e.kind, ErrorKind::Busy | ErrorKind::Partial) => {
            Err(format!("a move beside another one is refused as {:?}: {e}", e.kind))
        }
        _ => Ok(()),
    }
}

/// The same while the VM may end.
fn passes_or_ended(result: Result<(), Failure>) -> Result<(), String> {
    passes(result.or_else(|e| if e.kind == ErrorKind::WrongState { Ok(()) } else { Err(e) }))
}

/// What two threads know of each other.
#[derive(Default)]
struct Signals {
    stop: AtomicBool,
    rounds: AtomicU64,
}

impl Signals {
    /// Does this at least `least` times, and until the other one stops.
    fn until_stopped(&self, least: u64, mut act: impl FnMut(u64) -> Result<(), String>) -> Result<(), String> {
        let mut round = 0;
        while round < least || !self.stop.load(Ordering::Relaxed) {
            act(round)?;
            round += 1;
            self.rounds.store(round, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Runs these side by side; each must end well.
fn side_by_side(b: &Bench, work: &[&(dyn Fn() -> Result<(), String> + Sync)]) -> Result<(), String> {
    std::thread::scope(|scope| {
        let running: Vec<_> = work.iter().map(|work| scope.spawn(work)).collect();
        running.into_iter().try_for_each(|t| t.join().unwrap_or_else(|_| Err("a thread panicked".into())))
    })?;
    b.note(Act::Threads);
    Ok(())
}

fn threads(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    (0..6).try_for_each(|n| b.store(0, n, SECRET))?;
    let (vm, first) = (b.vm(0), b.page(0));
    let work = |turn: u64| {
        (0..40).try_for_each(|round| {
            let gfn = first.add((round * (turn + 1) + turn) % 6);
            passes(if (round + turn).is_multiple_of(2) { vm.page_out(gfn) } else { vm.page_in(gfn) })
        })
    };
    side_by_side(b, &[&|| work(0), &|| work(1), &|| work(2)])?;
    (0..6).try_for_each(|n| b.expect(0, n, SECRET))
}

fn overlapping(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    (0..12).try_for_each(|n| b.store(0, n, &b.content(u8::try_from(n).unwrap_or(0))))?;
    let (vm, ranges) = (b.vm(0), [b.pages(0, 8), b.pages(4, 8), b.pages(2, 6)]);
    let work = |turn: usize| {
        (0..12).try_for_each(|round| {
            let range = ranges[(turn + round) % ranges.len()];
            passes(vm.page_out_range(range).map_err(|e| e.error))?;
            passes(vm.page_in_range(range).map_err(|e| e.error))
        })
    };
    side_by_side(b, &[&|| work(0), &|| work(1)])?;
    (0..12).try_for_each(|n| b.expect(0, n, &b.content(u8::try_from(n).unwrap_or(0))))
}

/// Moves the first `pages` test pages until told to stop.
fn moving<'a>(
    b: &'a Bench,
    pages: u64,
    signals: &'a Signals,
    passes: fn(Result<(), Failure>) -> Result<(), String>,
) -> impl Fn() -> Result<(), String> + Sync + 'a {
    let (vm, first) = (b.vm(0), b.page(0));
    move || {
        signals.until_stopped(20, |round| {
            passes(vm.page_out(first.add(round % pages)))?;
            passes(vm.page_in(first.add((round / 2) % pages)))
        })
    }
}

/// Runs `here` on this thread while `beside` runs on another one until it is stopped.
fn beside(
    b: &Bench,
    signals: &Signals,
    beside: &(dyn Fn() -> Result<(), String> + Sync),
    here: impl FnOnce() -> Result<(), String>,
) -> Result<(), String> {
    std::thread::scope(|scope| {
        let running = scope.spawn(beside);
        while signals.rounds.load(Ordering::Relaxed) == 0 && !running.is_finished() {
            std::thread::yield_now();
        }
        let result = here();
        signals.stop.store(true, Ordering::Relaxed);
        running.join().unwrap_or_else(|_| Err("a thread panicked".into())).and(result)
    })?;
    b.note(Act::Threads);
    Ok(())
}

fn counting(b: &Bench) -> Result<(), String> {
    const PAGES: u64 = 4;
    b.enter(0)?;
    (0..PAGES).try_for_each(|n| b.store(0, n, &0_u64.to_be_bytes()))?;
    b.page_out_range(0, b.pages(0, PAGES))?;
    let signals = Signals::default();
    beside(b, &signals, &moving(b, PAGES, &signals, passes), || {
        for count in 1..40_u64 {
            for n in 0..PAGES {
                let seen = b.load(0, n, 8)?;
                ensure!(seen == (count - 1).to_be_bytes(), "test page {n} holds {seen:?} at count {count}");
                b.store(0, n, &count.to_be_bytes())?;
            }
        }
        Ok(())
    })?;
    (0..PAGES).try_for_each(|n| b.expect(0, n, &39_u64.to_be_bytes()))
}

fn looking(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    (0..4).try_for_each(|n| b.store(0, n, SECRET))?;
    let signals = Signals::default();
    beside(b, &signals, &moving(b, 4, &signals, passes), || {
        let mut round = 0;
        while round < 100 || signals.rounds.load(Ordering::Relaxed) < 20 {
            round += 1;
            let state = b.state(0, round % 4)?;
            ensure!(matches!(state, PageState::Secure | PageState::Sealed), "a page that moves is {state:?}");
            let counts = b.vm(0).page_counts().map_err(|e| e.to_string())?;
            ensure!(counts.total() >= 4, "four pages move, and the VM has {counts}");
        }
        Ok(())
    })?;
    (0..4).try_for_each(|n| b.expect(0, n, SECRET))
}

fn ending(b: &Bench) -> Result<(), String> {
    for _ in 0..3 {
        b.enter(0)?;
        (0..4).try_for_each(|n| b.store(0, n, SECRET))?;
        let signals = Signals::default();
        beside(b, &signals, &moving(b, 4, &signals, passes_or_ended), || {
            patient(|| b.vm(0).terminate()).map_err(|e| format!("the VM does not end: {e}"))
        })?;
        b.expect_vm(0, VmState::Normal)?;
        let counts = b.vm(0).page_counts().map_err(|e| e.to_string())?;
        ensure!(counts.total() == 0, "the VM ended and has {counts}");
    }
    b.enter(0)?;
    b.expect(0, 0, &[0; 64])
}

fn withdrawing(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.set_shared(0, 0, true)?;
    let (vm, page) = (b.vm(0), b.page(0));
    let signals = Signals::default();
    let away = || {
        signals.until_stopped(20, |_| {
            passes(vm.withdraw(page))?;
            passes(vm.page_in(page))
        })
    };
    beside(b, &signals, &away, || {
        (0..60_u64).try_for_each(|count| {
            b.store(0, 0, &count.to_be_bytes())?;
            b.expect(0, 0, &count.to_be_bytes())
        })
    })?;
    b.page_in(0, 0)?;
    ensure!(b.host_reads(0, 0)?.starts_with(&59_u64.to_be_bytes()), "the last store is not in the normal page");
    b.expect(0, 0, &59_u64.to_be_bytes())
}

fn two_vms(b: &Bench) -> Result<(), String> {
    for index in 0..2 {
        b.enter(index)?;
        (0..4).try_for_each(|n| b.store(index, n, &b.content(u8::try_from(index).unwrap_or(0) + 1)))?;
    }
    let (vms, range) = ([b.vm(0), b.vm(1)], b.pages(0, 4));
    let work = |index: usize| {
        (0..15).try_for_each(|_| {
            patient(|| vms[index].page_out_range(range)).map_err(|e| e.to_string())?;
            patient(|| vms[index].page_in_range(range)).map_err(|e| e.to_string())
        })
    };
    side_by_side(b, &[&|| work(0), &|| work(1)])?;
    for index in 0..2 {
        (0..4).try_for_each(|n| b.expect(index, n, &b.content(u8::try_from(index).unwrap_or(0) + 1)))?;
    }
    Ok(())
}
