//! Pages in and out.

use uv_core::{Error, ErrorKind, Gfn, PageIn, PageOut, PageRange, PageState, SecureVm};

use super::SECRET;
use crate::bench::{Bench, ensure, refused};
use crate::{Backend, Rule};

pub(crate) fn rules<B: Backend>() -> Vec<Rule<B>> {
    vec![
        Rule { name: "first-touch-zero", says: "what no image provided reads as zeros", check: first_touch },
        Rule { name: "round-trip", says: "a page that went out comes back as it was", check: round_trip },
        Rule { name: "fault-and-resume", says: "a guest that needs a page faults once and goes on", check: fault },
        Rule { name: "in-twice", says: "paging in what is in changes nothing", check: in_twice },
        Rule { name: "out-twice", says: "paging out what is out changes nothing", check: out_twice },
        Rule { name: "ranges", says: "a range does what its pages one by one do", check: ranges },
        Rule { name: "no-slot", says: "pages in no memory slot are refused as an argument", check: no_slot },
        Rule { name: "threads", says: "threads that move the same pages at once lose nothing", check: threads },
        Rule { name: "normal-vm", says: "a normal VM has no pages to move", check: normal_vm },
    ]
}

fn out<B: Backend>(b: &Bench<B>, n: u64) -> Result<(), String> {
    b.vm(0).page_out(b.page(n)).map_err(|e| format!("test page {n} does not go out: {e}"))
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
        out(b, 1)?;
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
    out(b, 2)?;
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
    out(b, 0)?;
    let sealed = b.host_sees(0, 0).ok_or("a sealed page is the hypervisor's to read")?;
    out(b, 0)?;
    ensure!(b.host_sees(0, 0) == Some(sealed), "the second page-out wrote to the page");
    b.expect(0, 0, SECRET)
}

fn ranges<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    for n in (0..20).filter(|n| n % 3 != 1) {
        b.store(0, n, &[u8::try_from(n).unwrap_or(0) + 1; 99])?;
    }
    let range = PageRange::new(b.page(0), 20);
    b.vm(0).page_out_range(range).map_err(|e| format!("the range does not go out: {e}"))?;
    for n in (0..20).filter(|n| n % 3 != 1) {
        b.expect_state(0, n, PageState::Sealed)?;
    }
    b.vm(0).page_in_range(range).map_err(|e| format!("the range does not come in: {e}"))?;
    for n in 0..20 {
        let value = if n % 3 == 1 { 0 } else { u8::try_from(n).unwrap_or(0) + 1 };
        b.expect(0, n, &[value; 99])?;
    }
    b.vm(0).page_out_range(PageRange::new(b.page(0), 0)).map_err(|e| format!("the empty range: {e}"))
}

fn no_slot<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    let beyond = b.backend.slots(0).end();
    for gfn in [beyond, Gfn(u64::MAX >> 20), Gfn(u64::MAX)] {
        refused(b.vm(0).page_in(gfn), ErrorKind::InvalidArgument, "a page-in in no slot")?;
        refused(b.vm(0).page_out(gfn), ErrorKind::InvalidArgument, "a page-out in no slot")?;
        refused(b.vm(0).page_state(gfn), ErrorKind::InvalidArgument, "the state of a page in no slot")?;
    }
    let huge = PageRange::new(b.page(0), u64::MAX);
    refused(b.vm(0).page_out_range(huge), ErrorKind::InvalidArgument, "a range without end")
}

fn threads<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    (0..6).try_for_each(|n| b.store(0, n, SECRET))?;
    let vm = b.vm(0);
    let pages: Vec<Gfn> = (0..6).map(|n| b.page(n)).collect();
    // Whoever comes second finds the page busy or moved already; nothing else may be the matter.
    let passes =
        |e: &<B as Backend>::Error| matches!(e.kind(), ErrorKind::Busy | ErrorKind::Partial | ErrorKind::WrongState);
    let work = |turn: usize| {
        for round in 0..40 {
            let gfn = pages[(round * (turn + 1) + turn) % pages.len()];
            let moved = if (round + turn).is_multiple_of(2) { vm.page_out(gfn) } else { vm.page_in(gfn) };
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
    refused(b.vm(0).page_in(b.page(0)), ErrorKind::WrongState, "a page-in into a normal VM")?;
    refused(b.vm(0).page_out(b.page(0)), ErrorKind::WrongState, "a page-out of a normal VM")
}
