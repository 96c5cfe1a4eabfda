//! What the guest shares.

use uv_core::{ErrorKind, PageOut, PageState, SharePages};

use super::SECRET;
use crate::bench::{Bench, ensure, holds, refused};
use crate::{Backend, GuestOp, Rule};

pub(crate) fn rules<B: Backend>() -> Vec<Rule<B>> {
    vec![
        Rule { name: "share", says: "both sides reach a shared page", check: share },
        Rule { name: "share-content", says: "sharing keeps or zeroes the content as the machine says", check: content },
        Rule { name: "unshare", says: "a page taken back is private again", check: unshare },
        Rule { name: "share-sealed", says: "a page that is out can be shared", check: share_sealed },
        Rule { name: "withdraw", says: "a withdrawn page faults and comes back shared", check: withdraw },
        Rule { name: "only-the-guest-shares", says: "the hypervisor cannot make a page shared", check: only_guest },
    ]
}

fn shared<B: Backend>(b: &mut Bench<B>, n: u64, want: bool) -> Result<(), String> {
    let found = b.vm(0).is_shared(b.page(n)).map_err(|e| e.to_string())?;
    ensure!(found == want, "the hypervisor finds test page {n} {}", if found { "shared" } else { "private" });
    Ok(())
}

fn ask<B: Backend>(b: &mut Bench<B>, op: GuestOp) -> Result<(), String> {
    b.guest(0, op).map(|_| ())
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
    b.vm(0).page_out(b.page(0)).map_err(|e| e.to_string())?;
    let seen = b.host_sees(0, 0).ok_or("a sealed page is the hypervisor's to read")?;
    ensure!(!holds(&seen, SECRET), "a page that was taken back goes out in clear");
    b.expect(0, 0, SECRET)
}

fn share_sealed<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    b.vm(0).page_out(b.page(0)).map_err(|e| e.to_string())?;
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
    refused(b.vm(0).withdraw(b.page(1)), ErrorKind::WrongState, "withdrawing a private page")?;
    ask(b, GuestOp::Share(b.page(0)))?;
    b.store(0, 0, b"shared bytes")?;
    b.vm(0).withdraw(b.page(0)).map_err(|e| format!("a shared page cannot be withdrawn: {e}"))?;
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
        b.vm(0).page_out(b.page(0)).map_err(|e| e.to_string())?;
        b.page_in(0, b.page(0))?;
        let _ = b.vm(0).withdraw(b.page(0));
        shared(b, 0, false)?;
    }
    b.expect(0, 0, SECRET)
}
