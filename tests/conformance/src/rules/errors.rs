//! Refusals: their kind, their code, what they say.

use uv_core::{ErrorKind, Gfn, PageRange, PageState};

use super::SECRET;
use crate::Ability::{AcceptSharing, DestroyPages, PageOut, RawCodes, SharePages};
use crate::bench::{Bench, ensure, patient};
use crate::rule::{Act, rule};
use crate::{Refusal, Rule};

pub(super) const RULES: &[Rule] = &[
    rule(
        [
            "no-slot",
            "pages in no memory slot are refused as an argument, by every call",
            "ErrorKind::InvalidArgument",
            "An argument is wrong: the same call will never work.",
        ],
        &[Act::Entered, Act::Refused],
        no_slot,
    ),
    rule(
        [
            "no-slot-state",
            "the state of a page in no memory slot is refused as an argument, in a normal and in a secure VM",
            "SecureVm::page_state",
            "InvalidArgument for a page in no memory slot.",
        ],
        &[Act::Entered, Act::Refused],
        no_slot_state,
    ),
    rule(
        [
            "no-end",
            "a range past the end of the address space is refused as an argument",
            "ErrorKind::InvalidArgument",
            "An argument is wrong: the same call will never work.",
        ],
        &[Act::Entered, Act::Refused],
        no_end,
    ),
    rule(
        [
            "normal-vm",
            "a normal VM has no pages to move, give up or withdraw",
            "PageIn::page_in_range",
            "WrongState in a VM that is not secure.",
        ],
        &[Act::Refused],
        normal_vm,
    ),
    rule(
        [
            "refusal-changes-nothing",
            "a call that is refused as an argument or for the state leaves every page as it was",
            "ErrorKind::InvalidArgument",
            "Nothing was done.",
        ],
        &[Act::Refused, Act::Loaded],
        changes_nothing,
    ),
    rule(
        [
            "errors-speak",
            "an error says something, the same for the same refusal, and nothing of the guest's",
            "Error",
            "Its text names no byte of guest memory.",
        ],
        &[Act::Refused],
        speak,
    ),
    rule(
        [
            "raw-code",
            "the error of a refusal by the machine shows the machine's number",
            "ErrorType::Error",
            "keeps the raw code of the machine",
        ],
        &[Act::PagedOut, Act::Refused],
        raw_code,
    )
    .needs(&[RawCodes, PageOut]),
];

/// Makes each call that works on pages with a range, and wants a refusal of this kind.
fn each_call(b: &Bench, range: PageRange, kind: ErrorKind, why: &str) -> Result<(), String> {
    let vm = b.vm(0);
    let what = |call: &str| format!("{call} {why}");
    b.refused(patient(|| vm.page_in_range(range)), kind, &what("a page-in"))?;
    if range.count == 1 {
        b.refused(patient(|| vm.page_in(range.first)), kind, &what("a page-in of one page"))?;
    }
    if b.has(PageOut) {
        b.refused(patient(|| vm.page_out_range(range)), kind, &what("a page-out"))?;
        if range.count == 1 {
            b.refused(patient(|| vm.page_out(range.first)), kind, &what("a page-out of one page"))?;
        }
    }
    if b.has(DestroyPages) {
        b.refused(patient(|| vm.destroy_range(range)), kind, &what("giving up pages"))?;
    }
    if b.has(SharePages) && range.count == 1 {
        b.refused(patient(|| vm.withdraw(range.first)), kind, &what("withdrawing"))?;
    }
    if b.has(AcceptSharing) {
        b.refused(patient(|| vm.accept_sharing(range, true)), kind, &what("sharing"))?;
    }
    Ok(())
}

fn outside(b: &Bench) -> [Gfn; 3] {
    [b.vm(0).mem_slots().end(), Gfn(u64::MAX >> 20), Gfn(u64::MAX)]
}

fn no_slot(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    outside(b).into_iter().try_for_each(|gfn| each_call(b, gfn.into(), ErrorKind::InvalidArgument, "in no slot"))
}

fn no_slot_state(b: &Bench) -> Result<(), String> {
    let asked = || {
        outside(b).into_iter().try_for_each(|gfn| {
            let state = b.vm(0).page_state(gfn);
            b.refused(state, ErrorKind::InvalidArgument, "the state of a page in no slot").map(drop)
        })
    };
    asked()?;
    b.enter(0)?;
    asked()
}

fn no_end(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    for count in [u64::MAX, u64::MAX - b.page(0).0, 1 << 60] {
        each_call(b, PageRange::new(b.page(0), count), ErrorKind::InvalidArgument, "without end")?;
    }
    b.expect(0, 0, SECRET)
}

fn normal_vm(b: &Bench) -> Result<(), String> {
    each_call(b, b.pages(0, 1), ErrorKind::WrongState, "of a normal VM")?;
    each_call(b, b.pages(0, 5), ErrorKind::WrongState, "of a normal VM")
}

fn changes_nothing(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    (0..3).try_for_each(|n| b.store(0, n, SECRET))?;
    if b.has(PageOut) {
        b.page_out(0, 1)?;
    }
    let states = || (0..3).map(|n| b.state(0, n)).collect::<Result<Vec<PageState>, _>>();
    let before = states()?;
    let end = b.vm(0).mem_slots().end();
    each_call(b, end.into(), ErrorKind::InvalidArgument, "in no slot")?;
    let long = PageRange::new(b.page(0), end.0 - b.page(0).0 + 1);
    each_call(b, long, ErrorKind::InvalidArgument, "past the last slot")?;
    b.refused(b.accept(0), ErrorKind::WrongState, "entering twice")?;
    ensure!(states()? == before, "the states were {before:?} and are {:?}", states()?);
    (0..3).try_for_each(|n| b.expect(0, n, SECRET))
}

fn speak(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    let beyond = b.vm(0).mem_slots().end();
    let ask = || b.refused(patient(|| b.vm(0).page_in(beyond)), ErrorKind::InvalidArgument, "a page-in in no slot");
    let mut errors = vec![ask()?, ask()?];
    ensure!(errors[0] == errors[1], "one refusal says two things: {} and {}", errors[0], errors[1]);
    if b.has(PageOut) {
        b.sealed(0, 0, SECRET)?;
        b.host_writes(0, 0, SECRET)?;
        errors.push(b.refused(patient(|| b.vm(0).page_in(b.page(0))), ErrorKind::Integrity, "a changed page")?);
    }
    let words = core::str::from_utf8(SECRET).unwrap_or("secret");
    for error in errors {
        ensure!(error.text.len() > 4, "an error says {:?}", error.text);
        ensure!(!error.text.contains(words), "an error shows guest memory: {error}");
    }
    Ok(())
}

fn raw_code(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    let mut page = b.sealed(0, 0, SECRET)?;
    page[9] ^= 1;
    b.host_writes(0, 0, &page)?;
    let code = b.code(Refusal::Tampered).ok_or("the machine declares codes and has none")?;
    for _ in 0..2 {
        let error = b.refused(patient(|| b.vm(0).page_in(b.page(0))), ErrorKind::Integrity, "a changed page")?;
        ensure!(error.text.contains(code), "the error does not show {code}: {error}");
    }
    Ok(())
}
