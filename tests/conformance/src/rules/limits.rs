//! The ends of what there is.

use uv_core::{Error, ErrorKind, Gfn, PageRange, PageState};

use super::SECRET;
use crate::Ability::{LimitedMemory, PageOut};
use crate::bench::{Bench, ensure, patient};
use crate::rule::{Act, rule};
use crate::{Rule, TEST_PAGES};

const FULL: &str = "Out of secure memory or another limited resource: free some, then call again.";

pub(super) const RULES: &[Rule] = &[
    rule(
        [
            "exhausted",
            "without secure memory a page stays as it is",
            "PageIn::page_in_range",
            "Exhausted without a free secure frame.",
        ],
        &[Act::PagedIn, Act::Refused],
        exhausted,
    )
    .needs(&[LimitedMemory])
    .tight(),
    rule(
        ["exhausted-range", "a range that finds no room says how far it came", "ErrorKind::Exhausted", FULL],
        &[Act::Refused],
        exhausted_range,
    )
    .needs(&[LimitedMemory])
    .tight(),
    rule(
        ["exhausted-then-room", "with room made the same call works", "ErrorKind::Exhausted", FULL],
        &[Act::PagedOut, Act::PagedIn, Act::Refused, Act::Loaded],
        then_room,
    )
    .needs(&[LimitedMemory, PageOut])
    .tight(),
    rule(
        [
            "last-page",
            "the last page of a memory slot is a page like any other, the one behind it is not",
            "SecureVm::mem_slots",
            "The memory slots as they are now.",
        ],
        &[Act::Entered, Act::Refused, Act::Loaded],
        last_page,
    ),
    rule(
        [
            "page-borders",
            "a guest reaches the first and the last byte of a page, and an access across pages reaches both",
            "SecureVm::page_size",
            "The page size of every page operation of this VM.",
        ],
        &[Act::Stored, Act::Loaded],
        borders,
    ),
    rule(
        [
            "all-pages",
            "every page of the memory slots has a state and can be taken in, if there is room",
            "PageIn::page_in_range",
            "Takes every page of the range into secure memory.",
        ],
        &[Act::Entered, Act::PagedIn],
        all_pages,
    ),
];

/// Takes test pages in, one by one, until there is no room; gives the first that found none.
fn fill(b: &Bench) -> Result<u64, String> {
    b.enter(0)?;
    for n in 0..TEST_PAGES {
        let before = b.state(0, n)?;
        match patient(|| b.vm(0).page_in(b.page(n))) {
            Ok(()) => b.note(Act::PagedIn),
            Err(e) if e.kind == ErrorKind::Exhausted => {
                b.note(Act::Refused);
                b.expect_state(0, n, before)?;
                return Ok(n);
            }
            Err(e) => return Err(format!("without room a page-in is refused as {:?}: {e}", e.kind)),
        }
    }
    Err("there is room for all test pages on a machine with little memory".into())
}

fn exhausted(b: &Bench) -> Result<(), String> {
    let full = fill(b)?;
    ensure!(full > 0, "there is no room for one page");
    (0..full).try_for_each(|n| b.expect_state(0, n, PageState::Secure))?;
    // It stays full.
    b.refused(patient(|| b.vm(0).page_in(b.page(full))), ErrorKind::Exhausted, "a page-in without room").map(drop)
}

fn exhausted_range(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    let range = b.pages(0, TEST_PAGES);
    let mut done = 0;
    let result = patient(|| {
        let rest = PageRange::new(b.page(done), TEST_PAGES - done);
        b.vm(0).page_in_range(rest).inspect_err(|e| done += e.done)
    });
    let error = b.refused(result, ErrorKind::Exhausted, "a range without room")?;
    ensure!(error.kind() == ErrorKind::Exhausted && done < range.count, "{done} pages are said to be done");
    for n in 0..TEST_PAGES {
        b.expect_state(0, n, if n < done { PageState::Secure } else { PageState::Absent })?;
    }
    Ok(())
}

fn then_room(b: &Bench) -> Result<(), String> {
    let full = fill(b)?;
    b.store(0, 0, SECRET)?;
    b.page_out(0, 0)?;
    b.page_in(0, full)?;
    b.expect(0, full, &[0; 64])?;
    // The other way round: its room is needed for the first.
    b.refused(patient(|| b.vm(0).page_in(b.page(0))), ErrorKind::Exhausted, "a page-in without room")?;
    b.expect_state(0, 0, PageState::Sealed)?;
    b.page_out(0, full)?;
    b.expect(0, 0, SECRET)
}

fn last_page(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    let end = b.vm(0).mem_slots().end();
    let last = Gfn(end.0 - 1);
    let addr = b.size().addr(last);
    b.store_at(0, addr, SECRET)?;
    if b.has(PageOut) {
        patient(|| b.vm(0).page_out(last)).map_err(|e| format!("the last page does not go out: {e}"))?;
    }
    patient(|| b.vm(0).page_in(last)).map_err(|e| format!("the last page does not come in: {e}"))?;
    let seen = b.guest(0, crate::GuestOp::Load(addr, SECRET.len()))?;
    ensure!(seen == crate::Saw::Bytes(SECRET.to_vec()), "the last page does not hold what the guest wrote");
    b.note(Act::Loaded);
    b.refused(patient(|| b.vm(0).page_in(end)), ErrorKind::InvalidArgument, "the page behind the last one").map(drop)
}

fn borders(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    let size = b.size().bytes();
    b.store(0, 0, &b.content(1))?;
    b.store(0, 1, &b.content(2))?;
    let border = uv_core::GuestAddr(b.addr(1).0 - 4);
    b.store_at(0, border, b"8 bytes.")?;
    let [mut first, mut second] = [b.content(1), b.content(2)];
    first[size - 4..].copy_from_slice(b"8 by");
    second[..4].copy_from_slice(b"tes.");
    b.expect(0, 0, &first)?;
    b.expect(0, 1, &second)?;
    if b.has(PageOut) {
        b.page_out_range(0, b.pages(0, 2))?;
    }
    let seen = b.guest(0, crate::GuestOp::Load(border, 8))?;
    ensure!(seen == crate::Saw::Bytes(b"8 bytes.".to_vec()), "an access across two pages ended as {seen:?}");
    Ok(())
}

fn all_pages(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    for (_, slot) in b.vm(0).mem_slots().iter() {
        match patient(|| b.vm(0).page_in_range(slot.range())) {
            Err(e) if e.kind() != ErrorKind::Exhausted => {
                return Err(format!("the pages of a slot do not come in: {e}"));
            }
            _ => b.note(Act::PagedIn),
        }
        for gfn in slot.range().iter() {
            b.vm(0).page_state(gfn).map_err(|e| format!("page {gfn} has no state: {e}"))?;
        }
    }
    (0..TEST_PAGES).try_for_each(|n| b.expect_state(0, n, PageState::Secure))
}
