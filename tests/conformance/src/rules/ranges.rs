//! Calls on several pages.

use uv_core::{Error, ErrorKind, Gfn, PageRange, PageState};

use super::SECRET;
use crate::Ability::{DestroyPages, PageOut, SharePages};
use crate::bench::{Bench, ensure, patient};
use crate::rule::{Act, rule};
use crate::{Rule, TEST_PAGES};

const EXACT: &str = "The first RangeError::done pages are done and stay done; page number done (from the start of the range) is as it \
                     was before the call, and so are all pages after it.";

pub(super) const RULES: &[Rule] = &[
    rule(
        [
            "ranges",
            "a range does what its pages one by one do",
            "PageIn",
            "The range does what its pages one by one do.",
        ],
        &[Act::PagedOut, Act::PagedIn, Act::Loaded],
        ranges,
    )
    .needs(&[PageOut]),
    rule(
        ["range-done", "a range that stops says exactly how many pages are done", "RangeError", EXACT],
        &[Act::PagedOut, Act::PagedIn, Act::Refused, Act::Loaded],
        range_done,
    )
    .needs(&[PageOut]),
    rule(
        [
            "range-goes-on",
            "a range that stopped is finished by the same call when its page is mended",
            "RangeError",
            "The same call goes on when the cause is gone.",
        ],
        &[Act::PagedOut, Act::PagedIn, Act::Refused, Act::Loaded],
        goes_on,
    )
    .needs(&[PageOut]),
    rule(
        [
            "range-mixed",
            "a range of pages in different states does with each what it needs",
            "PageIn::page_in_range",
            "Takes every page of the range into secure memory.",
        ],
        &[Act::PagedIn, Act::Shared, Act::Loaded],
        mixed_in,
    ),
    rule(
        [
            "range-mixed-out",
            "a range of pages in different states goes out as far as it is secure",
            "PageOut::page_out_range",
            "any other page is left as it is, and that is success",
        ],
        &[Act::PagedOut, Act::Shared, Act::Loaded],
        mixed_out,
    )
    .needs(&[PageOut]),
    rule(
        [
            "range-empty",
            "a range without pages is success and moves nothing",
            "PageRange::count",
            "0 is the empty range",
        ],
        &[Act::Entered, Act::Loaded],
        empty,
    ),
    rule(
        [
            "range-refused",
            "a range with a page in no slot is refused before its first page",
            "PageIn",
            "A range with a page in no memory slot is refused before its first page.",
        ],
        &[Act::Refused],
        range_refused,
    ),
    rule(
        [
            "range-destroyed",
            "a range of pages in different states is given up whole, and nothing beside it",
            "DestroyPages::destroy_range",
            "Every page of the range becomes Absent",
        ],
        &[Act::Destroyed, Act::Loaded],
        destroyed,
    )
    .needs(&[DestroyPages]),
];

fn value(n: u64) -> u8 {
    u8::try_from(n).unwrap_or(0) + 1
}

fn ranges(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    for n in (0..20).filter(|n| n % 3 != 1) {
        b.store(0, n, &[value(n); 99])?;
    }
    b.page_out_range(0, b.pages(0, 20))?;
    for n in (0..20).filter(|n| n % 3 != 1) {
        b.expect_state(0, n, PageState::Sealed)?;
    }
    b.page_in_range(0, b.pages(0, 20))?;
    for n in 0..20 {
        b.expect_state(0, n, PageState::Secure)?;
        b.expect(0, n, &[if n % 3 == 1 { 0 } else { value(n) }; 99])?;
    }
    Ok(())
}

const PAGES: u64 = 8;

/// Takes `PAGES` pages out and spoils number `stop`; the range must stop there. Gives the right bytes.
fn stopped(b: &Bench, stop: u64) -> Result<Vec<u8>, String> {
    (0..PAGES).try_for_each(|n| b.store(0, n, &[value(n); 99]))?;
    (0..PAGES).try_for_each(|n| b.page_out(0, n))?;
    let good = b.host_reads(0, stop)?;
    let mut bad = good.clone();
    bad[7] ^= 1;
    b.host_writes(0, stop, &bad)?;
    // What is done stays done when a call that is busy is made again.
    let mut done = 0;
    let result = patient(|| {
        let rest = PageRange::new(b.page(done), PAGES - done);
        b.vm(0).page_in_range(rest).inspect_err(|e| done += e.done)
    });
    let error = b.refused(result, ErrorKind::Integrity, "a range with a changed page")?;
    ensure!(
        error.kind() == ErrorKind::Integrity && done == stop,
        "page {stop} is wrong, and {done} are said to be done"
    );
    for n in 0..PAGES {
        b.expect_state(0, n, if n < stop { PageState::Secure } else { PageState::Sealed })?;
    }
    Ok(good)
}

fn range_done(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    for stop in [0, 3, PAGES - 1] {
        let good = stopped(b, stop)?;
        b.host_writes(0, stop, &good)?;
        (0..PAGES).try_for_each(|n| b.expect(0, n, &[value(n); 99]))?;
    }
    Ok(())
}

fn goes_on(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    for stop in [1, 5] {
        let good = stopped(b, stop)?;
        b.host_writes(0, stop, &good)?;
        b.page_in_range(0, b.pages(0, PAGES))?;
        for n in 0..PAGES {
            b.expect_state(0, n, PageState::Secure)?;
            b.expect(0, n, &[value(n); 99])?;
        }
    }
    Ok(())
}

/// Test pages 0 to 4: absent or zero, secure, sealed, shared, withdrawn, as far as the machine can.
fn mixture(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    (1..5).try_for_each(|n| b.store(0, n, &[value(n); 99]))?;
    for n in [3, 4] {
        b.set_shared(0, n, true)?;
        b.store(0, n, &[value(n); 99])?;
    }
    if b.has(PageOut) {
        b.page_out(0, 2)?;
    }
    if b.has(SharePages) {
        b.withdraw(0, 4).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// The contents of the mixture.
fn as_mixed(b: &Bench) -> Result<(), String> {
    b.expect(0, 0, &[0; 99])?;
    (1..5).try_for_each(|n| b.expect(0, n, &[value(n); 99]))
}

fn mixed_in(b: &Bench) -> Result<(), String> {
    mixture(b)?;
    b.page_in_range(0, b.pages(0, 6))?;
    for n in 0..6 {
        b.expect_state(0, n, if n == 3 || n == 4 { PageState::Shared } else { PageState::Secure })?;
    }
    as_mixed(b)
}

fn mixed_out(b: &Bench) -> Result<(), String> {
    mixture(b)?;
    let before = b.state(0, 4)?;
    b.page_out_range(0, b.pages(0, 6))?;
    b.expect_state(0, 1, PageState::Sealed)?;
    b.expect_state(0, 2, PageState::Sealed)?;
    b.expect_state(0, 3, PageState::Shared)?;
    b.expect_state(0, 4, before)?;
    as_mixed(b)
}

fn empty(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    let range = b.pages(0, 0);
    patient(|| b.vm(0).page_in_range(range)).map_err(|e| format!("an empty range does not come in: {e}"))?;
    if b.has(PageOut) {
        patient(|| b.vm(0).page_out_range(range)).map_err(|e| format!("an empty range does not go out: {e}"))?;
    }
    if b.has(DestroyPages) {
        patient(|| b.vm(0).destroy_range(range)).map_err(|e| format!("an empty range is not given up: {e}"))?;
    }
    b.expect_state(0, 0, PageState::Secure)?;
    b.expect(0, 0, SECRET)
}

fn range_refused(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    let end = b.vm(0).mem_slots().end();
    let last = PageRange::new(Gfn(end.0 - 2), 3);
    let states = || last.iter().take(2).map(|gfn| b.vm(0).page_state(gfn).ok()).collect::<Vec<_>>();
    let before = states();
    let check = |result: Result<(), uv_core::RangeError<_>>, what: &str| {
        let done = result.as_ref().err().map_or(0, |e| e.done);
        b.refused(result, ErrorKind::InvalidArgument, what)?;
        ensure!(done == 0, "{done} pages of {what} are said to be done");
        ensure!(before == states(), "{what} moved pages");
        Ok(())
    };
    check(patient(|| b.vm(0).page_in_range(last)), "a range past the last slot")?;
    if b.has(PageOut) {
        check(patient(|| b.vm(0).page_out_range(last)), "a page-out past the last slot")?;
    }
    if b.has(DestroyPages) {
        check(patient(|| b.vm(0).destroy_range(last)), "giving up pages past the last slot")?;
    }
    Ok(())
}

fn destroyed(b: &Bench) -> Result<(), String> {
    mixture(b)?;
    b.store(0, TEST_PAGES - 1, SECRET)?;
    b.store(0, 5, SECRET)?;
    // A shared page is the guest's to take back first.
    b.destroy(0, b.pages(0, 3))?;
    (0..3).try_for_each(|n| b.expect_state(0, n, PageState::Absent))?;
    (0..3).try_for_each(|n| b.expect(0, n, &[0; 99]))?;
    b.expect(0, 3, &[value(3); 99])?;
    b.expect(0, 5, SECRET)?;
    b.expect(0, TEST_PAGES - 1, SECRET)
}
