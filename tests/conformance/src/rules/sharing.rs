//! What the guest shares.

use uv_core::{ErrorKind, PageState};

use super::SECRET;
use crate::Ability::{AcceptSharing, PageOut, SharePages};
use crate::bench::{Bench, ensure, holds, patient};
use crate::rule::{Act, rule};
use crate::{GuestOp, Rule, Saw};

pub(super) const RULES: &[Rule] = &[
    rule(
        [
            "share",
            "both sides reach a shared page",
            "PageState::Shared",
            "The guest opened the page to the hypervisor; both reach the same normal memory.",
        ],
        &[Act::Shared, Act::HostRead, Act::HostWrote, Act::Loaded],
        share,
    ),
    rule(
        [
            "share-content",
            "sharing keeps or zeroes the content as the machine says, both ways",
            "PageState::Shared",
            "Whether the content goes along is the machine's way.",
        ],
        &[Act::Shared, Act::Unshared, Act::HostRead, Act::Loaded],
        content,
    ),
    rule(
        ["share-one", "sharing a page shares no other", "SharePages", "Only the guest can share or unshare"],
        &[Act::Shared],
        share_one,
    ),
    rule(
        [
            "share-twice",
            "a page that is shared again is shared",
            "PageState::Shared",
            "both reach the same normal memory",
        ],
        &[Act::Shared, Act::HostRead],
        share_twice,
    ),
    rule(
        [
            "unshare",
            "a page taken back is private again",
            "VmState::Secure",
            "no plaintext byte of a page that the guest has not shared is readable by the hypervisor",
        ],
        &[Act::Shared, Act::Unshared, Act::Loaded],
        unshare,
    ),
    rule(
        [
            "unshare-cuts-off",
            "what the hypervisor writes after a page was taken back does not reach it",
            "SharePages",
            "Only the guest can share or unshare",
        ],
        &[Act::Unshared, Act::Loaded],
        cuts_off,
    ),
    rule(
        ["share-sealed", "a page that is out can be shared", "PageState::Shared", "both reach the same normal memory"],
        &[Act::PagedOut, Act::Shared, Act::HostRead],
        share_sealed,
    )
    .needs(&[PageOut]),
    rule(
        [
            "only-the-guest-shares",
            "nothing that the hypervisor does makes a page shared",
            "SharePages",
            "Only the guest can share or unshare",
        ],
        &[Act::Stored, Act::Loaded],
        only_guest,
    ),
    rule(
        [
            "is-shared",
            "a page is said to be shared exactly while the hypervisor may use it",
            "SharePages::is_shared",
            "Whether the guest shares the page now, so that the hypervisor may use its normal memory.",
        ],
        &[Act::Shared, Act::Unshared, Act::Refused],
        is_shared,
    )
    .needs(&[SharePages]),
    rule(
        [
            "unserved-share",
            "running on without accepting refuses: the page stays private",
            "Exit::ShareRequest",
            "running again without that refuses",
        ],
        &[Act::Shared, Act::Loaded],
        unserved,
    )
    .needs(&[AcceptSharing]),
    rule(
        [
            "accept-unasked",
            "what the guest did not ask to share is not shared",
            "AcceptSharing::accept_sharing",
            "WrongState unless the guest has asked for exactly this; the pages are as before.",
        ],
        &[Act::Refused, Act::Loaded],
        accept_unasked,
    )
    .needs(&[AcceptSharing]),
];

/// The hypervisor must find the page shared, or private, whichever way it asks.
fn found(b: &Bench, n: u64, want: bool) -> Result<(), String> {
    let state = b.state(0, n)?;
    let shared = state == PageState::Shared;
    if b.has(SharePages) {
        let said = b.vm(0).is_shared(b.page(n)).map_err(|e| e.to_string())?;
        ensure!(said == shared, "test page {n} is {state:?}, and shared is said to be {said}");
    }
    ensure!(shared == want, "the hypervisor finds test page {n} {state:?}");
    Ok(())
}

fn share(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 0, b"before")?;
    found(b, 0, false)?;
    b.set_shared(0, 0, true)?;
    found(b, 0, true)?;
    b.store(0, 0, b"from the guest")?;
    ensure!(b.host_reads(0, 0)?.starts_with(b"from the guest"), "the hypervisor does not see the guest's bytes");
    b.host_writes(0, 0, b"from the host!")?;
    b.expect(0, 0, b"from the host!")?;
    b.store(0, 1, SECRET)?;
    found(b, 1, false)
}

fn content(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    b.set_shared(0, 0, true)?;
    let seen = b.host_reads(0, 0)?;
    let kept = holds(&seen, SECRET);
    ensure!(kept == b.keeps_content(), "sharing {} the content", if kept { "keeps" } else { "drops" });
    ensure!(kept || seen.iter().all(|b| *b == 0), "a page shared without its content is not zero");
    b.host_writes(0, 0, &[0x11; 64])?;
    b.set_shared(0, 0, false)?;
    let expected = if b.keeps_content() { [0x11; 64] } else { [0; 64] };
    b.expect(0, 0, &expected)
}

fn share_one(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    (0..5).try_for_each(|n| b.store(0, n, SECRET))?;
    b.set_shared(0, 2, true)?;
    for n in 0..5 {
        found(b, n, n == 2)?;
    }
    for n in [0, 1, 3, 4] {
        if let Some(seen) = b.host_sees(0, n)? {
            ensure!(!holds(&seen, SECRET), "the hypervisor reads test page {n}, which is not shared");
        }
        b.expect(0, n, SECRET)?;
    }
    Ok(())
}

fn share_twice(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.set_shared(0, 0, true)?;
    // A machine may refuse what is done already.
    let again = b.guest(0, GuestOp::Share(b.page(0)))?;
    ensure!(again != Saw::Bytes(Vec::new()), "sharing again gives bytes");
    found(b, 0, true)?;
    b.store(0, 0, b"still shared")?;
    ensure!(b.host_reads(0, 0)?.starts_with(b"still shared"), "the hypervisor does not see the guest's bytes");
    Ok(())
}

fn unshare(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.set_shared(0, 0, true)?;
    b.set_shared(0, 0, false)?;
    found(b, 0, false)?;
    b.store(0, 0, SECRET)?;
    if let Some(seen) = b.host_sees(0, 0)? {
        ensure!(!holds(&seen, SECRET), "the hypervisor reads a page that was taken back");
    }
    if b.has(PageOut) {
        b.page_out(0, 0)?;
        ensure!(!holds(&b.host_reads(0, 0)?, SECRET), "a page that was taken back goes out in clear");
    }
    b.expect(0, 0, SECRET)
}

fn cuts_off(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.set_shared(0, 0, true)?;
    b.store(0, 0, b"open")?;
    b.set_shared(0, 0, false)?;
    b.store(0, 0, SECRET)?;
    // The machine refuses the write, or it hits a page that is the hypervisor's alone.
    let _ = b.host_writes(0, 0, &[0x33; 64]);
    b.expect(0, 0, SECRET)
}

fn share_sealed(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.sealed(0, 0, SECRET)?;
    b.set_shared(0, 0, true)?;
    found(b, 0, true)?;
    let seen = b.host_reads(0, 0)?;
    let right = if b.keeps_content() { seen.starts_with(SECRET) } else { seen.iter().all(|byte| *byte == 0) };
    ensure!(right, "the content of a page that was out does not go along as the machine says");
    b.store(0, 0, b"open")?;
    ensure!(b.host_reads(0, 0)?.starts_with(b"open"), "the hypervisor does not see the guest's bytes");
    Ok(())
}

fn only_guest(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    for _ in 0..2 {
        if b.has(PageOut) {
            b.page_out(0, 0)?;
        }
        b.page_in(0, 0)?;
        if b.has(SharePages) {
            b.refused(b.withdraw(0, 0), ErrorKind::WrongState, "withdrawing a private page")?;
        }
        found(b, 0, false)?;
    }
    b.expect(0, 0, SECRET)
}

fn is_shared(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    let said = |n| b.vm(0).is_shared(b.page(n)).map_err(|e| e.to_string());
    ensure!(!said(0)?, "an absent page is said to be shared");
    b.store(0, 0, SECRET)?;
    ensure!(!said(0)?, "a private page is said to be shared");
    b.set_shared(0, 0, true)?;
    ensure!(said(0)? && !said(1)?, "a shared page is not said to be shared, or its neighbour is");
    b.set_shared(0, 0, false)?;
    ensure!(!said(0)?, "a page that was taken back is said to be shared");
    let beyond = b.vm(0).mem_slots().end();
    b.refused(b.vm(0).is_shared(beyond), ErrorKind::InvalidArgument, "asking for a page in no slot").map(drop)
}

fn unserved(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    b.set_accepts_sharing(false);
    let saw = b.guest(0, GuestOp::Share(b.page(0)))?;
    ensure!(saw == Saw::Refused, "sharing that nobody accepted ended as {saw:?}");
    found(b, 0, false)?;
    b.expect(0, 0, SECRET)?;
    b.set_accepts_sharing(true);
    b.set_shared(0, 0, true)?;
    found(b, 0, true)
}

fn accept_unasked(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    for share in [true, false] {
        let accepted = patient(|| b.vm(0).accept_sharing(b.page(0).into(), share));
        b.refused(accepted, ErrorKind::WrongState, "sharing that the guest did not ask for")?;
    }
    found(b, 0, false)?;
    b.expect(0, 0, SECRET)
}
