//! Pages in and out.

use uv_core::{PageCounts, PageRange, PageState};

use super::SECRET;
use crate::Ability::{DestroyPages, PageOut};
use crate::bench::{Bench, ensure};
use crate::rule::{Act, rule};
use crate::{Rule, TEST_PAGES};

pub(super) const RULES: &[Rule] = &[
    rule(
        [
            "round-trip",
            "every byte of a page that went out comes back, however often",
            "PageOut::page_out_range",
            "Secure becomes Sealed, the normal page holds ciphertext",
        ],
        &[Act::PagedOut, Act::PagedIn, Act::Loaded],
        round_trip,
    )
    .needs(&[PageOut]),
    rule(
        [
            "newest-content",
            "what comes back is what the guest wrote last",
            "PageIn::page_in_range",
            "only the newest version of this page of this VM is taken",
        ],
        &[Act::PagedOut, Act::PagedIn, Act::Loaded],
        newest,
    )
    .needs(&[PageOut]),
    rule(
        [
            "in-twice",
            "paging in what is in changes nothing",
            "PageIn::page_in_range",
            "a page that is secure or shared already is left as it is, and that is success",
        ],
        &[Act::Stored, Act::Loaded],
        in_twice,
    ),
    rule(
        [
            "in-shared",
            "paging in a shared page leaves it shared, with its content",
            "PageIn::page_in_range",
            "a page that is secure or shared already is left as it is, and that is success",
        ],
        &[Act::Shared, Act::HostRead],
        in_shared,
    ),
    rule(
        [
            "out-twice",
            "paging out what is out changes nothing",
            "PageOut::page_out_range",
            "any other page is left as it is, and that is success",
        ],
        &[Act::PagedOut, Act::HostRead],
        out_twice,
    )
    .needs(&[PageOut]),
    rule(
        [
            "out-shared",
            "paging out a shared page leaves it shared, with its content",
            "PageOut::page_out_range",
            "any other page is left as it is, and that is success",
        ],
        &[Act::Shared, Act::HostRead],
        out_shared,
    )
    .needs(&[PageOut]),
    rule(
        [
            "neighbours-stay",
            "a page moves alone: its neighbours keep state and content",
            "PageOut::page_out_range",
            "Seals every secure page of the range into its normal page",
        ],
        &[Act::PagedOut, Act::PagedIn, Act::Loaded],
        neighbours,
    )
    .needs(&[PageOut]),
    rule(
        [
            "counts",
            "the counts are those of the pages of the memory slots, after every move",
            "SecureVm::page_counts",
            "How many pages of the memory slots stand in each state.",
        ],
        &[Act::Entered, Act::Stored],
        counts,
    ),
    rule(
        [
            "destroy",
            "a page that is given up reads as zeros, for guest and hypervisor",
            "DestroyPages::destroy_range",
            "Every page of the range becomes Absent: its content is wiped and forgotten, its normal page reads as zeros.",
        ],
        &[Act::Destroyed, Act::HostRead, Act::Loaded],
        destroy,
    )
    .needs(&[DestroyPages]),
    rule(
        [
            "destroy-lives-on",
            "the guest can use a page that was given up",
            "DestroyPages::destroy_range",
            "The guest finds zeros there if it lives on.",
        ],
        &[Act::Destroyed, Act::Stored, Act::Loaded],
        destroy_lives_on,
    )
    .needs(&[DestroyPages]),
];

fn round_trip(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    let whole = b.content(1);
    b.store(0, 1, &whole)?;
    for _ in 0..3 {
        b.page_out(0, 1)?;
        b.expect_state(0, 1, PageState::Sealed)?;
        b.page_in(0, 1)?;
        b.expect_state(0, 1, PageState::Secure)?;
        b.expect(0, 1, &whole)?;
    }
    Ok(())
}

fn newest(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    for version in 1..5_u8 {
        b.store(0, 0, &b.content(version))?;
        b.page_out(0, 0)?;
        b.page_in(0, 0)?;
        b.expect(0, 0, &b.content(version))?;
    }
    Ok(())
}

fn in_twice(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    b.page_in(0, 0)?;
    b.page_in(0, 0)?;
    b.expect_state(0, 0, PageState::Secure)?;
    b.expect(0, 0, SECRET)
}

fn in_shared(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.set_shared(0, 0, true)?;
    b.store(0, 0, b"shared bytes")?;
    b.page_in(0, 0)?;
    b.expect_state(0, 0, PageState::Shared)?;
    ensure!(b.host_reads(0, 0)?.starts_with(b"shared bytes"), "paging in changed a shared page");
    b.expect(0, 0, b"shared bytes")
}

fn out_twice(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    let sealed = b.sealed(0, 0, SECRET)?;
    b.page_out(0, 0)?;
    ensure!(b.host_reads(0, 0)? == sealed, "the second page-out wrote to the page");
    b.expect(0, 0, SECRET)
}

fn out_shared(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.set_shared(0, 0, true)?;
    b.store(0, 0, b"shared bytes")?;
    b.page_out(0, 0)?;
    b.expect_state(0, 0, PageState::Shared)?;
    ensure!(b.host_reads(0, 0)?.starts_with(b"shared bytes"), "paging out changed a shared page");
    b.expect(0, 0, b"shared bytes")
}

fn neighbours(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    (0..5).try_for_each(|n| b.store(0, n, &[u8::try_from(n).unwrap_or(0) + 1; 50]))?;
    b.page_out(0, 2)?;
    for n in [0, 1, 3, 4] {
        b.expect_state(0, n, PageState::Secure)?;
    }
    (0..5).try_for_each(|n| b.page_out(0, n))?;
    b.page_in(0, 2)?;
    for n in [0, 1, 3, 4] {
        b.expect_state(0, n, PageState::Sealed)?;
    }
    (0..5).try_for_each(|n| b.expect(0, n, &[u8::try_from(n).unwrap_or(0) + 1; 50]))
}

fn counts(b: &Bench) -> Result<(), String> {
    let found = || {
        let counts = b.vm(0).page_counts().map_err(|e| e.to_string())?;
        let pages = b.vm(0).counted().map_err(|e| e.to_string())?;
        ensure!(counts == pages, "the VM counts {counts}, its pages are {pages}");
        Ok::<_, String>(counts)
    };
    ensure!(found()? == PageCounts::default(), "a normal VM has pages");
    b.enter(0)?;
    (0..5).try_for_each(|n| b.store(0, n, SECRET))?;
    let secure = found()?;
    ensure!(secure.secure >= 5, "five pages were written, and the VM has {secure}");
    if b.has(PageOut) {
        (0..3).try_for_each(|n| b.page_out(0, n))?;
        let out = found()?;
        let right = (out.secure + 3, out.sealed) == (secure.secure, secure.sealed + 3);
        ensure!(right, "three pages went out of {secure}, and the VM has {out}");
        b.page_in(0, 0)?;
        ensure!(found()?.sealed + 1 == out.sealed, "a page came in, and as many are out");
    }
    let before = found()?;
    b.set_shared(0, 5, true)?;
    ensure!(found()?.shared == before.shared + 1, "a page was shared, and {} are", before.shared);
    b.terminate(0)?;
    ensure!(found()? == PageCounts::default(), "a VM that ended has pages");
    Ok(())
}

fn destroy(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    (0..2).try_for_each(|n| b.store(0, n, SECRET))?;
    if b.has(PageOut) {
        b.page_out(0, 1)?;
    }
    b.destroy(0, b.pages(0, 2))?;
    for n in 0..2 {
        b.expect_state(0, n, PageState::Absent)?;
        let seen = b.host_reads(0, n)?;
        ensure!(seen.iter().all(|byte| *byte == 0), "the normal page of test page {n} is not zero");
        b.expect(0, n, &[0; 64])?;
    }
    Ok(())
}

fn destroy_lives_on(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    (0..3).try_for_each(|n| b.store(0, n, SECRET))?;
    b.destroy(0, PageRange::from(b.page(1)))?;
    b.expect(0, 0, SECRET)?;
    b.expect(0, 2, SECRET)?;
    b.store(0, 1, b"used again")?;
    b.expect(0, 1, b"used again")?;
    b.expect_state(0, 1, PageState::Secure)?;
    b.destroy(0, b.pages(0, TEST_PAGES))?;
    b.expect(0, 1, &[0; 64])
}
