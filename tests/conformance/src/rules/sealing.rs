//! What sealed bytes may tell, and how exactly a range stops.

use uv_core::{ErrorKind, PageIn, PageRange, PageState, SecureVm};

use super::SECRET;
use super::isolation::sealed;
use crate::Ability::PageOut;
use crate::bench::{Bench, ensure, patient};
use crate::{Backend, Rule};

/// Bytes of a cipher block.
const BLOCK: usize = 16;

pub(crate) fn rules<B: Backend>() -> Vec<Rule<B>> {
    vec![
        Rule::new("key-stream", "two pages of a VM have no key stream in common", key_stream).needs(PageOut),
        Rule::new("sealed-anew", "a page that goes out again has a key stream of its own", anew).needs(PageOut),
        Rule::new("range-done", "a range that stops says exactly how many pages are done", range_done).needs(PageOut),
        Rule::new("range-refused", "a range with a wrong page is refused before its first", range_refused),
    ]
}

/// Whether any block of two sealed pages differs as their plaintexts do: they were added to the same key stream.
fn shares_stream(sealed: [&[u8]; 2], plain: [&[u8]; 2]) -> bool {
    let difference = |[a, b]: [&[u8]; 2]| a.iter().zip(b).map(|(a, b)| a ^ b).collect::<Vec<_>>();
    let (sealed, plain) = (difference(sealed), difference(plain));
    sealed.chunks(BLOCK).zip(plain.chunks(BLOCK)).any(|(sealed, plain)| sealed == plain)
}

/// A page of content that differs from that of every other number in every block.
fn content<B: Backend>(b: &Bench<B>, number: u8) -> Vec<u8> {
    (0..b.size().bytes()).map(|at| u8::try_from(at % 239).unwrap_or(0) ^ number).collect()
}

fn key_stream<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    let plain = [content(b, 1), content(b, 2)];
    let pages = [sealed(b, 0, 0, &plain[0])?, sealed(b, 0, 1, &plain[1])?];
    let shared = shares_stream([&pages[0], &pages[1]], [&plain[0], &plain[1]]);
    ensure!(!shared, "two pages are sealed with the same key stream");
    let same = [sealed(b, 0, 2, &plain[0])?, sealed(b, 0, 3, &plain[0])?];
    ensure!(same[0] != same[1], "two pages of the same content are sealed to the same bytes");
    Ok(())
}

fn anew<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    let plain = [content(b, 1), content(b, 2)];
    let versions = [sealed(b, 0, 0, &plain[0])?, sealed(b, 0, 0, &plain[1])?];
    let shared = shares_stream([&versions[0], &versions[1]], [&plain[0], &plain[1]]);
    ensure!(!shared, "two versions of a page are sealed with the same key stream");
    b.expect(0, 0, &plain[1])
}

fn range_done<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    const PAGES: u64 = 8;
    b.enter(0)?;
    for stop in [0, 3, PAGES - 1] {
        (0..PAGES).try_for_each(|n| b.store(0, n, SECRET))?;
        (0..PAGES).try_for_each(|n| b.page_out(0, n))?;
        let good = b.host_sees(0, stop).ok_or("a sealed page is the hypervisor's to read")?;
        let mut bad = good.clone();
        bad[7] ^= 1;
        b.host_writes(0, stop, &bad)?;
        let range = PageRange::new(b.page(0), PAGES);
        match patient(|| b.vm(0).page_in_range(range)) {
            Ok(()) => return Err("a range with a changed page is taken".into()),
            Err(e) => {
                let kind = uv_core::Error::kind(&e);
                ensure!(kind == ErrorKind::Integrity, "a changed page is refused as {kind:?}");
                ensure!(e.done == stop, "page {stop} is wrong, and {} pages are said to be done", e.done);
            }
        }
        for n in 0..PAGES {
            let state = if n < stop { PageState::Secure } else { PageState::Sealed };
            b.expect_state(0, n, state)?;
        }
        b.host_writes(0, stop, &good)?;
        (0..PAGES).try_for_each(|n| b.expect(0, n, SECRET))?;
    }
    Ok(())
}

fn range_refused<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    let end = b.vm(0).mem_slots().end();
    let last = PageRange::new(uv_core::Gfn(end.0 - 2), 3);
    let before = last.iter().take(2).map(|gfn| b.vm(0).page_state(gfn).ok()).collect::<Vec<_>>();
    match patient(|| b.vm(0).page_in_range(last)) {
        Ok(()) => Err("a range past the last slot is taken".into()),
        Err(e) => {
            ensure!(e.done == 0, "{} pages of a range that is wrong are said to be done", e.done);
            let after = last.iter().take(2).map(|gfn| b.vm(0).page_state(gfn).ok()).collect::<Vec<_>>();
            ensure!(before == after, "a range that is wrong moved pages");
            Ok(())
        }
    }
}
