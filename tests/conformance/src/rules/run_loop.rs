//! Virtual CPUs and their exits.

use uv_core::{Exit, VmState};

use super::SECRET;
use crate::Ability::PageOut;
use crate::bench::{Bench, ensure};
use crate::rule::{Act, rule};
use crate::{GuestOp, Rule, Saw};

pub(super) const RULES: &[Rule] = &[
    rule(
        [
            "halted-again",
            "a CPU that waits for ever can be run, and halts again",
            "Vcpu::run",
            "Running after Exit::Halted is success: the guest goes on when its wait has ended, and otherwise the exit is \
             Exit::Halted again.",
        ],
        &[Act::Halted],
        halted,
    ),
    rule(
        [
            "exits-in-order",
            "a guest does what it does once, in order, whatever exits lie between",
            "Vcpu::run",
            "Serving the exit and calling again resumes the guest where it was.",
        ],
        &[Act::Loaded, Act::Stored],
        in_order,
    ),
    rule(
        [
            "fault-names-page",
            "the exit for a page that is out names that page",
            "Exit::PageMissing",
            "The guest needs a page that is not in secure memory",
        ],
        &[Act::PagedOut, Act::Faulted, Act::PagedIn],
        names_page,
    )
    .needs(&[PageOut]),
    rule(
        [
            "fault-unserved",
            "a guest that is run without its page faults on the same page again",
            "Exit::PageMissing",
            "Page it in and run again; the access is repeated.",
        ],
        &[Act::PagedOut, Act::Faulted, Act::Loaded],
        fault_unserved,
    )
    .needs(&[PageOut]),
    rule(
        [
            "fault-once",
            "a guest faults once for a page that is out, and not for one that is in",
            "Exit::PageMissing",
            "Page it in and run again; the access is repeated.",
        ],
        &[Act::PagedOut, Act::Faulted, Act::Loaded],
        fault_once,
    )
    .needs(&[PageOut]),
    rule(
        [
            "fault-store",
            "a store that faulted is done, once, when the page is in",
            "Exit::PageMissing",
            "the access is repeated",
        ],
        &[Act::PagedOut, Act::Faulted, Act::Loaded],
        fault_store,
    )
    .needs(&[PageOut]),
    rule(
        [
            "runs-after-end",
            "the guest of a VM that ended reaches no page of its secure life",
            "SecureVm::terminate",
            "forgets the VM's keys",
        ],
        &[Act::Ended, Act::Stored],
        after_end,
    ),
];

fn halted(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    b.tell(0, GuestOp::End);
    let mut halts = 0;
    for _ in 0..100 {
        match b.run(0)? {
            Exit::Halted => halts += 1,
            // The guest may wait in its machine's own way before it finds what it was told.
            exit @ Exit::Arch(()) if halts == 0 => b.serve(0, exit)?,
            _ => return Err("a guest that waits for ever has another exit".into()),
        }
        if halts == 5 {
            return b.expect_vm(0, VmState::Secure);
        }
    }
    Err("a guest that waits for ever does not halt".into())
}

fn in_order(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    let before = b.saw(0).len();
    for value in 0..12_u8 {
        let n = u64::from(value % 4);
        b.store(0, n, &[value; 24])?;
        if b.has(PageOut) && value % 3 == 0 {
            b.page_out(0, n)?;
        }
        b.expect(0, n, &[value; 24])?;
    }
    let saw = b.saw(0);
    ensure!(saw.len() == before + 24, "the guest did 24 things and saw {}", saw.len() - before);
    for (at, pair) in saw[before..].chunks(2).enumerate() {
        let value = u8::try_from(at).unwrap_or(0);
        ensure!(pair == [Saw::Done, Saw::Bytes(vec![value; 24])], "at {at} the guest saw {pair:?}");
    }
    Ok(())
}

fn names_page(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    for n in [0, 3, 9] {
        b.store(0, n, SECRET)?;
        b.page_out(0, n)?;
        b.tell(0, GuestOp::Load(b.addr(n), SECRET.len()));
        let gfn = b.run_to_fault(0)?;
        ensure!(gfn == b.page(n), "the guest needs page {}, the exit names {gfn}", b.page(n));
        b.page_in(0, n)?;
        b.expect(0, n, SECRET)?;
    }
    Ok(())
}

fn fault_unserved(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 1, SECRET)?;
    b.page_out(0, 1)?;
    let before = b.saw(0).len();
    b.tell(0, GuestOp::Load(b.addr(1), SECRET.len()));
    for _ in 0..3 {
        let gfn = b.run_to_fault(0)?;
        ensure!(gfn == b.page(1), "the guest needs page {}, the exit names {gfn}", b.page(1));
        ensure!(b.saw(0).len() == before, "the guest went on without its page");
    }
    b.page_in(0, 1)?;
    b.expect(0, 1, SECRET)?;
    ensure!(b.saw(0)[before] == Saw::Bytes(SECRET.to_vec()), "the access that faulted was not repeated");
    Ok(())
}

fn fault_once(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 2, SECRET)?;
    b.page_out(0, 2)?;
    let before = b.faults();
    b.expect(0, 2, SECRET)?;
    ensure!(b.faults() == before + 1, "{} faults for one page that was out", b.faults() - before);
    b.expect(0, 2, SECRET)?;
    ensure!(b.faults() == before + 1, "the guest faults on a page that is in");
    Ok(())
}

fn fault_store(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    let whole = b.content(5);
    b.store(0, 0, &whole)?;
    b.page_out(0, 0)?;
    let before = b.faults();
    b.store(0, 0, SECRET)?;
    ensure!(b.faults() == before + 1, "{} faults for a store to a page that was out", b.faults() - before);
    let expected = [SECRET, &whole[SECRET.len()..]].concat();
    b.expect(0, 0, &expected)
}

fn after_end(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    b.terminate(0)?;
    // The CPU may run on as a normal one, or be refused: it must not reach the secret.
    let before = b.saw(0).len();
    b.tell(0, GuestOp::Load(b.addr(0), SECRET.len()));
    for _ in 0..50 {
        match b.try_run(0) {
            Ok(Exit::Halted | Exit::Arch(())) | Err(_) => {}
            Ok(exit) => drop(b.serve(0, exit)),
        }
        if let Some(saw) = b.saw(0).get(before) {
            ensure!(*saw != Saw::Bytes(SECRET.to_vec()), "the guest still reads what it wrote before the end");
            break;
        }
    }
    b.enter(0)?;
    b.store(0, 1, SECRET)?;
    b.expect(0, 1, SECRET)
}
