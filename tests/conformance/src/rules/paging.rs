//! Pages in and out.

use uv_core::{Error, ErrorKind, Gfn, PageCounts, PageIn, PageRange, PageState, SecureVm};

use super::SECRET;
use crate::Ability::{DestroyPages, PageOut};
use crate::bench::{Bench, ensure, patient, refused};
use crate::{Backend, Rule};

pub(crate) fn rules<B: Backend>() -> Vec<Rule<B>> {
    vec![
        Rule::new("first-touch-zero", "what no image provided reads as zeros", first_touch),
        Rule::new("round-trip", "a page that went out comes back as it was", round_trip).needs(PageOut),
        Rule::new("fault-and-resume", "a guest that needs a page faults once and goes on", fault).needs(PageOut),
        Rule::new("in-twice", "paging in what is in changes nothing", in_twice),
        Rule::new("out-twice", "paging out what is out changes nothing", out_twice).needs(PageOut),
        Rule::new("ranges", "a range does what its pages one by one do", ranges).needs(PageOut),
        Rule::new("no-slot", "pages in no memory slot are refused as an argument", no_slot),
        Rule::new("threads", "threads that move the same pages at once lose nothing", threads).needs(PageOut),
        Rule::new("normal-vm", "a normal VM has no pages to move", normal_vm),
        Rule::new("counts", "the counts are those of the pages of the memory slots", counts),
        Rule::new("destroy", "a page that is given up reads as zeros, for guest and hypervisor", destroy)
            .needs(DestroyPages),
    ]
}

fn first_touch<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    let ones = vec![0xff; b.size().bytes()];
    b.host_writes(0, 0, &ones)?;
    b.enter(0)?;
    let zeros = vec![0; b.size().bytes()];
    b.expect(0, 0, &zeros)
}

fn round_trip<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    let whole: Vec<u8> = (0..b.size().bytes()).map(|i| u8::try_from(i % 251).unwrap_or(0)).collect();
    b.store(0, 1, &whole)?;
    for _ in 0..3 {
        b.page_out(0, 1)?;
        b.expect_state(0, 1, PageState::Sealed)?;
        b.page_in(0, b.page(1))?;
        b.expect_state(0, 1, PageState::Secure)?;
        b.expect(0, 1, &whole)?;
    }
    Ok(())
}

fn fault<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 2, SECRET)?;
    b.page_out(0, 2)?;
    let before = b.faults;
    b.expect(0, 2, SECRET)?;
    ensure!(b.faults == before + 1, "{} faults for one page that was out", b.faults - before);
    b.expect(0, 2, SECRET)?;
    ensure!(b.faults == before + 1, "the guest faults on a page that is in");
    Ok(())
}

fn in_twice<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    b.page_in(0, b.page(0))?;
    b.page_in(0, b.page(0))?;
    b.expect_state(0, 0, PageState::Secure)?;
    b.expect(0, 0, SECRET)
}

fn out_twice<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    b.page_out(0, 0)?;
    let sealed = b.host_sees(0, 0).ok_or("a sealed page is the hypervisor's to read")?;
    b.page_out(0, 0)?;
    ensure!(b.host_sees(0, 0) == Some(sealed), "the second page-out wrote to the page");
    b.expect(0, 0, SECRET)
}

fn ranges<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    for n in (0..20).filter(|n| n % 3 != 1) {
        b.store(0, n, &[u8::try_from(n).unwrap_or(0) + 1; 99])?;
    }
    let range = PageRange::new(b.page(0), 20);
    let out = |b: &Bench<B>, range| {
        let ability = b.page_out_of(0)?;
        patient(|| ability.page_out_range(range)).map_err(|e| format!("the range does not go out: {e}"))
    };
    out(b, range)?;
    for n in (0..20).filter(|n| n % 3 != 1) {
        b.expect_state(0, n, PageState::Sealed)?;
    }
    patient(|| b.vm(0).page_in_range(range)).map_err(|e| format!("the range does not come in: {e}"))?;
    for n in 0..20 {
        let value = if n % 3 == 1 { 0 } else { u8::try_from(n).unwrap_or(0) + 1 };
        b.expect(0, n, &[value; 99])?;
    }
    out(b, PageRange::new(b.page(0), 0))
}

fn no_slot<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    let vm = b.vm(0);
    let beyond = vm.mem_slots().end();
    for gfn in [beyond, Gfn(u64::MAX >> 20), Gfn(u64::MAX)] {
        refused(patient(|| vm.page_in(gfn)), ErrorKind::InvalidArgument, "a page-in in no slot")?;
        if let Some(out) = vm.as_page_out() {
            refused(patient(|| out.page_out(gfn)), ErrorKind::InvalidArgument, "a page-out in no slot")?;
        }
        refused(vm.page_state(gfn), ErrorKind::InvalidArgument, "the state of a page in no slot")?;
    }
    let huge = PageRange::new(b.page(0), u64::MAX);
    refused(patient(|| vm.page_in_range(huge)), ErrorKind::InvalidArgument, "a range without end")
}

fn threads<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    (0..6).try_for_each(|n| b.store(0, n, SECRET))?;
    let (vm, out) = (b.vm(0), b.page_out_of(0)?);
    let pages: Vec<Gfn> = (0..6).map(|n| b.page(n)).collect();
    // Whoever comes second finds the page busy or moved already; nothing else may be the matter.
    let passes =
        |e: &<B as Backend>::Error| matches!(e.kind(), ErrorKind::Busy | ErrorKind::Partial | ErrorKind::WrongState);
    let work = |turn: usize| {
        for round in 0..40 {
            let gfn = pages[(round * (turn + 1) + turn) % pages.len()];
            let moved = if (round + turn).is_multiple_of(2) { out.page_out(gfn) } else { vm.page_in(gfn) };
            if let Err(e) = moved.as_ref()
                && !passes(e)
            {
                return Err(format!("a move beside another one is refused as {:?}: {e}", e.kind()));
            }
        }
        Ok(())
    };
    let work = &work;
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..3).map(|turn| scope.spawn(move || work(turn))).collect();
        running.into_iter().try_for_each(|t| t.join().unwrap_or_else(|_| Err("a thread panicked".into())))
    })?;
    (0..6).try_for_each(|n| b.expect(0, n, SECRET))
}

fn normal_vm<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    let page_in = patient(|| b.vm(0).page_in(b.page(0)));
    refused(page_in, ErrorKind::WrongState, "a page-in into a normal VM")?;
    let Some(out) = b.vm(0).as_page_out() else { return Ok(()) };
    refused(patient(|| out.page_out(b.page(0))), ErrorKind::WrongState, "a page-out of a normal VM")
}

fn counts<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    let found = |b: &Bench<B>| b.vm(0).page_counts().map_err(|e| e.to_string());
    let before = found(b)?;
    ensure!(before == PageCounts::default(), "a normal VM has {before}");
    b.enter(0)?;
    (0..5).try_for_each(|n| b.store(0, n, SECRET))?;
    let secure = found(b)?;
    ensure!(secure.secure >= 5, "five pages were written, and the VM has {secure}");
    if B::ABILITIES.contains(&PageOut) {
        (0..3).try_for_each(|n| b.page_out(0, n))?;
        let out = found(b)?;
        let right = (out.secure + 3, out.sealed) == (secure.secure, secure.sealed + 3);
        ensure!(right, "three pages went out of {secure}, and the VM has {out}");
    }
    let (counts, pages) = (found(b)?, PageCounts::of(b.vm(0)).map_err(|e| e.to_string())?);
    ensure!(counts == pages, "the VM counts {counts}, its pages are {pages}");
    Ok(())
}

fn destroy<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    (0..2).try_for_each(|n| b.store(0, n, SECRET))?;
    if B::ABILITIES.contains(&PageOut) {
        b.page_out(0, 1)?;
    }
    let ability = b.vm(0).as_destroy_pages().ok_or("the ability to destroy pages is not there")?;
    patient(|| ability.destroy_range(PageRange::new(b.page(0), 2)))
        .map_err(|e| format!("pages are not given up: {e}"))?;
    for n in 0..2 {
        b.expect_state(0, n, PageState::Absent)?;
        let seen = b.host_sees(0, n).ok_or("the normal page did not come back")?;
        ensure!(seen.iter().all(|byte| *byte == 0), "the normal page of test page {n} is not zero");
        b.expect(0, n, &[0; 64])?;
    }
    Ok(())
}
