//! Random sequences of guest, hypervisor and attacker, against a model of what the guest must see.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use uv_core::{ErrorKind, PageState};

use super::SECRET;
use crate::Ability::{DestroyPages, PageOut, SharePages};
use crate::Rule;
use crate::bench::{Bench, ensure, holds, patient};
use crate::rule::{Act, rule};

const PAGES: usize = 6;
const STEPS: u32 = 400;
const PROMISE: &str = "no plaintext byte of a page that the guest has not shared is readable by the hypervisor";

pub(super) const RULES: &[Rule] = &[
    rule(
        [
            "random-sequences",
            "whatever the hypervisor does, the guest sees its own bytes or faults, and the hypervisor no secret",
            "VmState::Secure",
            PROMISE,
        ],
        &[Act::Stored, Act::Loaded, Act::Shared, Act::Unshared, Act::HostRead],
        |b| sequences(b, b.seed, false),
    ),
    rule(
        [
            "random-attacks",
            "no sealed page that is not the newest version is ever taken, in any order of calls",
            "PageIn::page_in_range",
            "only the newest version of this page of this VM is taken",
        ],
        &[Act::Stored, Act::Loaded, Act::PagedOut, Act::HostWrote, Act::Refused],
        |b| sequences(b, !b.seed, true),
    )
    .needs(&[PageOut]),
];

/// What the guest must find in a page, and an old sealed version.
#[derive(Clone)]
struct Model {
    private: bool,
    bytes: Vec<u8>,
    old: Option<Vec<u8>>,
}

fn sequences(b: &Bench, seed: u64, attacks: bool) -> Result<(), String> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    b.enter(0)?;
    let mut model = vec![Model { private: true, bytes: vec![0; 64], old: None }; PAGES];
    for step in 0..STEPS {
        let n = (rng.next_u32() as usize) % PAGES;
        let what = if attacks { [0, 0, 1, 2, 2, 3, 6, 6][(rng.next_u32() % 8) as usize] } else { rng.next_u32() % 8 };
        one_step(b, &mut rng, &mut model[n], n as u64, what).map_err(|e| format!("step {step}: {e}"))?;
        for (n, _) in (0..).zip(&model).filter(|(_, page)| page.private) {
            if let Some(seen) = b.host_sees(0, n)? {
                ensure!(!holds(&seen, SECRET), "step {step}: the hypervisor reads the secret of test page {n}");
            }
        }
    }
    Ok(())
}

fn one_step(b: &Bench, rng: &mut ChaCha8Rng, page: &mut Model, n: u64, what: u32) -> Result<(), String> {
    match what {
        0 if page.private => {
            page.bytes = [SECRET, &rng.next_u64().to_be_bytes()].concat();
            b.store(0, n, &page.bytes)?;
        }
        0 | 1 => b.expect(0, n, &page.bytes)?,
        2 if b.has(PageOut) => {
            b.page_out(0, n)?;
            if b.state(0, n)? == PageState::Sealed && page.old.is_none() {
                page.old = Some(b.host_reads(0, n)?);
            }
        }
        3 => b.page_in(0, n)?,
        4 if page.private => {
            b.store(0, n, &[0; 64])?;
            b.set_shared(0, n, true)?;
            *page = Model { private: false, bytes: vec![0; 64], old: None };
        }
        4 => {
            b.set_shared(0, n, false)?;
            page.private = true;
            page.bytes = b.load(0, n, 64)?;
        }
        5 if !page.private && b.has(SharePages) => b.withdraw(0, n).map_err(|e| format!("withdraw: {e}"))?,
        5 if page.private && b.has(DestroyPages) => {
            b.destroy(0, b.pages(n, 1))?;
            *page = Model { private: true, bytes: vec![0; 64], old: None };
        }
        _ if b.state(0, n)? == PageState::Sealed => attack(b, rng, page, n)?,
        _ => {}
    }
    Ok(())
}

/// Other bytes in place of a sealed page: a flipped bit, or an older version.
fn attack(b: &Bench, rng: &mut ChaCha8Rng, page: &Model, n: u64) -> Result<(), String> {
    let good = b.host_reads(0, n)?;
    let bad = match &page.old {
        Some(old) if *old != good && rng.next_u32().is_multiple_of(2) => old.clone(),
        _ => {
            let mut bad = good.clone();
            let at = (rng.next_u32() as usize) % bad.len();
            bad[at] ^= 1 << (rng.next_u32() % 8);
            bad
        }
    };
    b.host_writes(0, n, &bad)?;
    b.refused(patient(|| b.vm(0).page_in(b.page(n))), ErrorKind::Integrity, "a page that is not the newest version")?;
    b.host_writes(0, n, &good)
}
