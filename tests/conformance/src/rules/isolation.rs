//! What a hypervisor can do with what it sees.

use uv_core::{Error, ErrorKind, PageIn, PageState};

use super::SECRET;
use crate::Ability::PageOut;
use crate::bench::{Bench, ensure, holds, patient, refused};
use crate::{Backend, Rule};

pub(crate) fn rules<B: Backend>() -> Vec<Rule<B>> {
    vec![
        Rule::new("no-plaintext", "the hypervisor never reads a secure page", no_plaintext),
        Rule::new("flipped", "a changed sealed page is refused, the right one still taken", flipped).needs(PageOut),
        Rule::new("swapped", "a sealed page is taken at its own address only", swapped).needs(PageOut),
        Rule::new("replayed", "only the newest sealed version is taken", replayed).needs(PageOut),
        Rule::new("foreign", "a sealed page of another VM is refused", foreign).needs(PageOut),
        Rule::new("host-writes", "what the hypervisor writes never reaches a private page", host_writes),
    ]
}

/// What the hypervisor finds in a page that the guest wrote and that went out.
pub(super) fn sealed<B: Backend>(b: &mut Bench<B>, index: usize, n: u64, bytes: &[u8]) -> Result<Vec<u8>, String> {
    b.store(index, n, bytes)?;
    b.page_out(index, n)?;
    let page = b.host_sees(index, n).ok_or("a sealed page is the hypervisor's to read")?;
    ensure!(!holds(&page, SECRET), "the sealed page holds the secret");
    Ok(page)
}

/// A wrong page must be refused as a matter of integrity and leave the page sealed.
fn wrong<B: Backend>(b: &Bench<B>, n: u64, what: &str) -> Result<(), String> {
    refused(patient(|| b.vm(0).page_in(b.page(n))), ErrorKind::Integrity, what)?;
    b.expect_state(0, n, PageState::Sealed)
}

fn no_plaintext<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    if let Some(seen) = b.host_sees(0, 0) {
        ensure!(!holds(&seen, SECRET), "the hypervisor reads the secret in a secure page");
    }
    if !B::ABILITIES.contains(&PageOut) {
        return Ok(());
    }
    sealed(b, 0, 1, SECRET)?;
    b.expect(0, 1, SECRET)?;
    if let Some(seen) = b.host_sees(0, 1) {
        ensure!(!holds(&seen, SECRET), "the hypervisor reads the secret in a page that came back");
    }
    Ok(())
}

fn flipped<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    let good = sealed(b, 0, 0, SECRET)?;
    for at in [0, 1, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 0x80;
        b.host_writes(0, 0, &bad)?;
        wrong(b, 0, "a sealed page with a flipped bit")?;
    }
    b.host_writes(0, 0, &good)?;
    b.expect(0, 0, SECRET)
}

fn swapped<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    let first = sealed(b, 0, 0, SECRET)?;
    let second = sealed(b, 0, 1, b"another page")?;
    b.host_writes(0, 0, &second)?;
    b.host_writes(0, 1, &first)?;
    wrong(b, 0, "the sealed page of another address")?;
    wrong(b, 1, "the sealed page of another address")?;
    b.host_writes(0, 0, &first)?;
    b.host_writes(0, 1, &second)?;
    b.expect(0, 0, SECRET)?;
    b.expect(0, 1, b"another page")
}

fn replayed<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    let old = sealed(b, 0, 0, b"old")?;
    let new = sealed(b, 0, 0, b"new")?;
    b.host_writes(0, 0, &old)?;
    wrong(b, 0, "an older version of the page")?;
    b.host_writes(0, 0, &new)?;
    b.expect(0, 0, b"new")
}

fn foreign<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    b.enter(1)?;
    let mine = sealed(b, 0, 0, SECRET)?;
    let theirs = sealed(b, 1, 0, SECRET)?;
    ensure!(mine != theirs, "two VMs seal one content to the same bytes");
    b.host_writes(0, 0, &theirs)?;
    wrong(b, 0, "the sealed page of another VM")?;
    b.host_writes(0, 0, &mine)?;
    b.expect(0, 0, SECRET)?;
    b.expect(1, 0, SECRET)
}

fn host_writes<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    let refused = b.host_writes(0, 0, &[0x55; 64]).is_err();
    if refused {
        return b.expect(0, 0, SECRET);
    }
    // The machine let the write through: it must have hit the hypervisor's own page, or have sealed the secure one before.
    match patient(|| b.vm(0).page_in(b.page(0))) {
        Ok(()) => b.expect(0, 0, SECRET),
        Err(e) if e.kind() == ErrorKind::Integrity => Ok(()),
        Err(e) => Err(format!("after a write of the hypervisor: {e}")),
    }
}
