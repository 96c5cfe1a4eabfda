//! The end of a secure VM.

use uv_core::{ErrorKind, PageState};

use super::SECRET;
use crate::Ability::{DestroyPages, PageOut, SharePages};
use crate::bench::{Bench, ensure, holds, patient};
use crate::rule::{Act, rule};
use crate::{Rule, TEST_PAGES};

const ITEM: &str = "SecureVm::terminate";

pub(super) const RULES: &[Rule] = &[
    rule(
        [
            "end-wipes",
            "nothing of the guest is readable after the end",
            ITEM,
            "The ultravisor wipes and frees every secure frame and forgets the VM's keys",
        ],
        &[Act::Stored, Act::Ended, Act::HostRead],
        wipes,
    ),
    rule(
        [
            "end-returns-memory",
            "after the end the hypervisor reads and writes every page",
            ITEM,
            "the hypervisor's memory stays its own",
        ],
        &[Act::Ended, Act::HostRead, Act::HostWrote],
        returns_memory,
    ),
    rule(
        [
            "end-sealed-is-noise",
            "a page that was out when the VM ended is noise, and no page of the next life",
            ITEM,
            "sealed pages in it are noise from now on",
        ],
        &[Act::PagedOut, Act::Ended, Act::HostRead, Act::Loaded],
        sealed_is_noise,
    )
    .needs(&[PageOut]),
    rule(
        [
            "end-with-everything",
            "a VM with pages in every state ends, and all its pages are absent",
            ITEM,
            "The VM is VmState::Normal afterwards.",
        ],
        &[Act::Shared, Act::Ended],
        with_everything,
    ),
    rule(
        [
            "end-unshares",
            "what the guest shared is not shared in its next life",
            ITEM,
            "The VM is VmState::Normal afterwards.",
        ],
        &[Act::Shared, Act::Ended, Act::Loaded],
        unshares,
    ),
    rule(
        [
            "no-pages-after-end",
            "no page of a VM that ended can be moved",
            "PageIn::page_in_range",
            "WrongState in a VM that is not secure.",
        ],
        &[Act::Ended, Act::Refused],
        no_pages,
    ),
    rule(
        ["many-lives", "secure memory is not used up by VMs that ended", ITEM, "wipes and frees every secure frame"],
        &[Act::Entered, Act::Ended],
        many_lives,
    ),
];

fn wipes(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    (0..8).try_for_each(|n| b.store(0, n, SECRET))?;
    if b.has(PageOut) {
        (0..4).try_for_each(|n| b.page_out(0, n))?;
    }
    b.terminate(0)?;
    for n in 0..8 {
        ensure!(!holds(&b.host_reads(0, n)?, SECRET), "the secret is readable in the page of test page {n}");
    }
    Ok(())
}

fn returns_memory(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    (0..TEST_PAGES).try_for_each(|n| b.store(0, n, SECRET))?;
    b.terminate(0)?;
    for n in 0..TEST_PAGES {
        b.host_reads(0, n)?;
        b.host_writes(0, n, &[0x42; 64])?;
        ensure!(b.host_reads(0, n)?.starts_with(&[0x42; 64]), "test page {n} is not the hypervisor's");
    }
    Ok(())
}

fn sealed_is_noise(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    (0..4).try_for_each(|n| b.store(0, n, SECRET))?;
    (0..4).try_for_each(|n| b.page_out(0, n))?;
    b.terminate(0)?;
    let left: Vec<Vec<u8>> = (0..4).map(|n| b.host_reads(0, n)).collect::<Result<_, _>>()?;
    ensure!(!left.iter().any(|page| holds(page, SECRET)), "a page that was out is readable");
    b.enter(0)?;
    (0..4).try_for_each(|n| b.expect(0, n, &[0; 64]))
}

fn with_everything(b: &Bench) -> Result<(), String> {
    for _ in 0..2 {
        b.enter(0)?;
        (0..4).try_for_each(|n| b.store(0, n, SECRET))?;
        b.set_shared(0, 2, true)?;
        b.set_shared(0, 3, true)?;
        if b.has(PageOut) {
            b.page_out(0, 1)?;
        }
        if b.has(SharePages) {
            b.withdraw(0, 3).map_err(|e| e.to_string())?;
        }
        b.terminate(0)?;
        (0..5).try_for_each(|n| b.expect_state(0, n, PageState::Absent))?;
    }
    Ok(())
}

fn unshares(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.set_shared(0, 0, true)?;
    b.store(0, 0, b"shared bytes")?;
    b.terminate(0)?;
    b.enter(0)?;
    ensure!(b.state(0, 0)? != PageState::Shared, "a page is shared before its guest did anything");
    b.store(0, 0, SECRET)?;
    if let Some(seen) = b.host_sees(0, 0)? {
        ensure!(!holds(&seen, SECRET), "the hypervisor reads what was shared in another life");
    }
    b.expect(0, 0, SECRET)
}

fn no_pages(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    b.terminate(0)?;
    let page = b.page(0);
    b.refused(patient(|| b.vm(0).page_in(page)), ErrorKind::WrongState, "a page-in after the end")?;
    if b.has(PageOut) {
        b.refused(patient(|| b.vm(0).page_out(page)), ErrorKind::WrongState, "a page-out after the end")?;
    }
    if b.has(DestroyPages) {
        let destroyed = patient(|| b.vm(0).destroy_range(page.into()));
        b.refused(destroyed, ErrorKind::WrongState, "a page given up after the end")?;
    }
    if b.has(SharePages) {
        b.refused(b.withdraw(0, 0), ErrorKind::WrongState, "a page withdrawn after the end")?;
    }
    Ok(())
}

fn many_lives(b: &Bench) -> Result<(), String> {
    for _ in 0..12 {
        b.enter(0)?;
        (0..TEST_PAGES).try_for_each(|n| b.page_in(0, n))?;
        b.terminate(0)?;
    }
    Ok(())
}
