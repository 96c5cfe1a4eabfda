//! What the guest shares.

use uv_core::{ErrorKind, PageState, SecureVm};

use super::SECRET;
use crate::Ability::{AcceptSharing, PageOut, SharePages};
use crate::bench::{Bench, ensure, holds, patient, refused};
use crate::{Backend, GuestOp, Rule, Saw};

pub(crate) fn rules<B: Backend>() -> Vec<Rule<B>> {
    vec![
        Rule::new("share", "both sides reach a shared page", share),
        Rule::new("share-content", "sharing keeps or zeroes the content as the machine says", content),
        Rule::new("unshare", "a page taken back is private again", unshare),
        Rule::new("share-sealed", "a page that is out can be shared", share_sealed).needs(PageOut),
        Rule::new("withdraw", "a withdrawn page faults and comes back shared", withdraw).needs(SharePages),
        Rule::new("only-the-guest-shares", "the hypervisor cannot make a page shared", only_guest),
        Rule::new("unserved-share", "running on without accepting refuses: the page stays private", unserved)
            .needs(AcceptSharing),
    ]
}

fn shared<B: Backend>(b: &mut Bench<B>, n: u64, want: bool) -> Result<(), String> {
    let state = b.vm(0).page_state(b.page(n)).map_err(|e| e.to_string())?;
    let found = match b.vm(0).as_share_pages() {
        Some(sharing) => sharing.is_shared(b.page(n)).map_err(|e| e.to_string())?,
        None => state == PageState::Shared,
    };
    ensure!(found == (state == PageState::Shared), "test page {n} is {state:?}, and shared is said to be {found}");
    ensure!(found == want, "the hypervisor finds test page {n} {}", if found { "shared" } else { "private" });
    Ok(())
}

fn ask<B: Backend>(b: &mut Bench<B>, op: GuestOp) -> Result<(), String> {
    let said = format!("{op:?}");
    let saw = b.guest(0, op)?;
    ensure!(saw == Saw::Done, "{said} ended as {saw:?}");
    Ok(())
}

fn share<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 0, b"before")?;
    shared(b, 0, false)?;
    ask(b, GuestOp::Share(b.page(0)))?;
    shared(b, 0, true)?;
    b.store(0, 0, b"from the guest")?;
    let seen = b.host_sees(0, 0).ok_or("the hypervisor cannot read a shared page")?;
    ensure!(seen.starts_with(b"from the guest"), "the hypervisor does not see the guest's bytes");
    b.host_writes(0, 0, b"from the host!")?;
    b.expect(0, 0, b"from the host!")?;
    b.store(0, 1, SECRET)?;
    shared(b, 1, false)
}

fn content<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    ask(b, GuestOp::Share(b.page(0)))?;
    let seen = b.host_sees(0, 0).ok_or("the hypervisor cannot read a shared page")?;
    let kept = holds(&seen, SECRET);
    ensure!(kept == B::SHARING_KEEPS_CONTENT, "sharing {} the content", if kept { "keeps" } else { "drops" });
    ensure!(kept || seen.iter().all(|b| *b == 0), "a page shared without its content is not zero");
    b.host_writes(0, 0, &[0x11; 64])?;
    ask(b, GuestOp::Unshare(b.page(0)))?;
    let expected = if B::SHARING_KEEPS_CONTENT { [0x11; 64] } else { [0; 64] };
    b.expect(0, 0, &expected)
}

fn unshare<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    ask(b, GuestOp::Share(b.page(0)))?;
    ask(b, GuestOp::Unshare(b.page(0)))?;
    shared(b, 0, false)?;
    b.store(0, 0, SECRET)?;
    if let Some(seen) = b.host_sees(0, 0) {
        ensure!(!holds(&seen, SECRET), "the hypervisor reads a page that was taken back");
    }
    if !B::ABILITIES.contains(&PageOut) {
        return b.expect(0, 0, SECRET);
    }
    b.page_out(0, 0)?;
    let seen = b.host_sees(0, 0).ok_or("a sealed page is the hypervisor's to read")?;
    ensure!(!holds(&seen, SECRET), "a page that was taken back goes out in clear");
    b.expect(0, 0, SECRET)
}

fn share_sealed<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    b.page_out(0, 0)?;
    ask(b, GuestOp::Share(b.page(0)))?;
    shared(b, 0, true)?;
    b.store(0, 0, b"open")?;
    let seen = b.host_sees(0, 0).ok_or("the hypervisor cannot read a shared page")?;
    ensure!(seen.starts_with(b"open"), "the hypervisor does not see the guest's bytes");
    Ok(())
}

fn withdraw<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 1, SECRET)?;
    refused(b.withdraw(0, 1)?, ErrorKind::WrongState, "withdrawing a private page")?;
    ask(b, GuestOp::Share(b.page(0)))?;
    b.store(0, 0, b"shared bytes")?;
    b.withdraw(0, 0)?.map_err(|e| format!("a shared page cannot be withdrawn: {e}"))?;
    b.expect_state(0, 0, PageState::Withdrawn)?;
    let before = b.faults;
    b.expect(0, 0, b"shared bytes")?;
    ensure!(b.faults == before + 1, "{} faults for one withdrawn page", b.faults - before);
    b.expect_state(0, 0, PageState::Shared)
}

fn only_guest<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    for _ in 0..2 {
        if B::ABILITIES.contains(&PageOut) {
            b.page_out(0, 0)?;
        }
        b.page_in(0, b.page(0))?;
        if B::ABILITIES.contains(&SharePages) {
            refused(b.withdraw(0, 0)?, ErrorKind::WrongState, "withdrawing a private page")?;
        }
        if let Some(sharing) = b.vm(0).as_accept_sharing() {
            let shared = patient(|| sharing.accept_sharing(b.page(0).into(), true));
            refused(shared, ErrorKind::WrongState, "sharing a page that the guest did not ask to share")?;
        }
        shared(b, 0, false)?;
    }
    b.expect(0, 0, SECRET)
}

fn unserved<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    b.accepts_sharing = false;
    let saw = b.guest(0, GuestOp::Share(b.page(0)))?;
    ensure!(saw == Saw::Refused, "sharing that nobody accepted ended as {saw:?}");
    shared(b, 0, false)?;
    b.expect(0, 0, SECRET)?;
    b.accepts_sharing = true;
    ask(b, GuestOp::Share(b.page(0)))?;
    shared(b, 0, true)
}
