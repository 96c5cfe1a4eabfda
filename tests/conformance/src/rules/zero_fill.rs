//! What a guest finds where nothing was put.

use uv_core::PageState;

use super::SECRET;
use crate::Ability::{DestroyPages, PageOut};
use crate::Rule;
use crate::bench::{Bench, ensure};
use crate::rule::{Act, rule};

pub(super) const RULES: &[Rule] = &[
    rule(
        [
            "first-touch-zero",
            "what no image provided reads as zeros, whatever the hypervisor left there",
            "PageState::Absent",
            "the guest finds zeros at its first access, unless an image page is put here first",
        ],
        &[Act::HostWrote, Act::Loaded],
        first_touch,
    ),
    rule(
        [
            "page-in-zero",
            "an absent page that the hypervisor takes in is zeros, not what its normal page holds",
            "PageIn::page_in_range",
            "Absent becomes a secure page of zeros, whatever the normal page holds",
        ],
        &[Act::HostWrote, Act::Loaded],
        page_in_zero,
    ),
    rule(
        [
            "rest-is-zero",
            "what the guest did not write in a fresh page is zero",
            "PageState::Absent",
            "the guest finds zeros at its first access",
        ],
        &[Act::Stored, Act::Loaded],
        rest_is_zero,
    ),
    rule(
        [
            "fresh-start",
            "a VM that enters again finds nothing of its past",
            "SecureVm::terminate",
            "wipes and frees every secure frame",
        ],
        &[Act::Ended, Act::Loaded],
        fresh_start,
    ),
    rule(
        [
            "reused-frame",
            "secure memory that one VM freed is zeros for the next",
            "SecureVm::terminate",
            "wipes and frees every secure frame",
        ],
        &[Act::Ended, Act::Loaded],
        reused_frame,
    ),
    rule(
        [
            "freed-by-page-out",
            "secure memory that was freed by a page-out is zeros for the page that gets it",
            "PageOut::page_out_range",
            "frees the frame",
        ],
        &[Act::PagedOut, Act::Loaded],
        freed_by_page_out,
    )
    .needs(&[PageOut]),
    rule(
        [
            "destroyed-is-zero",
            "what the hypervisor writes behind a page that was given up does not reach the guest",
            "DestroyPages::destroy_range",
            "The guest finds zeros there if it lives on.",
        ],
        &[Act::Destroyed, Act::HostWrote, Act::Loaded],
        destroyed_is_zero,
    )
    .needs(&[DestroyPages]),
];

fn first_touch(b: &Bench) -> Result<(), String> {
    let ones = vec![0xff; b.size().bytes()];
    b.host_writes(0, 0, &ones)?;
    b.enter(0)?;
    b.expect(0, 0, &vec![0; b.size().bytes()])
}

fn page_in_zero(b: &Bench) -> Result<(), String> {
    for n in 0..4 {
        b.host_writes(0, n, &b.content(9))?;
    }
    b.enter(0)?;
    b.page_in(0, 0)?;
    b.page_in_range(0, b.pages(1, 3))?;
    for n in 0..4 {
        b.expect_state(0, n, PageState::Secure)?;
        b.expect(0, n, &vec![0; b.size().bytes()])?;
    }
    Ok(())
}

fn rest_is_zero(b: &Bench) -> Result<(), String> {
    b.host_writes(0, 3, &b.content(7))?;
    b.enter(0)?;
    let middle = b.size().bytes() / 2;
    let at = uv_core::GuestAddr(b.addr(3).0 + middle as u64);
    b.store_at(0, at, SECRET)?;
    let seen = b.load(0, 3, b.size().bytes())?;
    let (before, rest) = seen.split_at(middle);
    ensure!(rest.starts_with(SECRET), "the guest does not find what it wrote");
    let zeros = before.iter().chain(&rest[SECRET.len()..]).all(|byte| *byte == 0);
    ensure!(zeros, "around what the guest wrote are other bytes than zeros");
    Ok(())
}

fn fresh_start(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    (0..4).try_for_each(|n| b.store(0, n, SECRET))?;
    b.terminate(0)?;
    b.enter(0)?;
    (0..4).try_for_each(|n| b.expect(0, n, &[0; 64]))
}

fn reused_frame(b: &Bench) -> Result<(), String> {
    let whole = b.content(3);
    b.enter(0)?;
    (0..12).try_for_each(|n| b.store(0, n, &whole))?;
    b.terminate(0)?;
    b.enter(1)?;
    let zeros = vec![0; b.size().bytes()];
    (0..12).try_for_each(|n| b.expect(1, n, &zeros))
}

fn freed_by_page_out(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    let zeros = vec![0; b.size().bytes()];
    for n in 0..4 {
        b.store(0, n, &b.content(3))?;
        b.page_out(0, n)?;
        b.expect(0, n + 8, &zeros)?;
    }
    Ok(())
}

fn destroyed_is_zero(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    b.destroy(0, b.pages(0, 1))?;
    b.host_writes(0, 0, &b.content(9))?;
    b.expect(0, 0, &vec![0; b.size().bytes()])
}
