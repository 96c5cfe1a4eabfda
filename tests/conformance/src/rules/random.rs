//! Random sequences of guest, hypervisor and attacker, against a model of what the guest must see.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use uv_core::{Error, ErrorKind, PageIn, PageState, SecureVm};

use super::SECRET;
use crate::Ability::{PageOut, SharePages};
use crate::bench::{Bench, ensure, holds, patient};
use crate::{Backend, GuestOp, Rule};

const PAGES: usize = 6;
const STEPS: u32 = 400;

pub(crate) fn rules<B: Backend>() -> Vec<Rule<B>> {
    vec![Rule::new(
        "random-sequences",
        "whatever the hypervisor does, the guest sees its own bytes or faults, and the hypervisor no secret",
        sequences,
    )]
}

/// What the guest must find in a page.
#[derive(Clone)]
struct Model {
    private: bool,
    bytes: Vec<u8>,
}

fn sequences<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    let mut rng = ChaCha8Rng::seed_from_u64(b.seed);
    b.enter(0)?;
    let mut model = vec![Model { private: true, bytes: vec![0; 64] }; PAGES];
    for step in 0..STEPS {
        let n = (rng.next_u32() as usize) % PAGES;
        one_step(b, &mut rng, &mut model[n], n as u64).map_err(|e| format!("step {step}: {e}"))?;
        for (n, _) in (0..).zip(&model).filter(|(_, page)| page.private) {
            if let Some(seen) = b.host_sees(0, n) {
                ensure!(!holds(&seen, SECRET), "step {step}: the hypervisor reads the secret of test page {n}");
            }
        }
    }
    Ok(())
}

fn one_step<B: Backend>(b: &mut Bench<B>, rng: &mut ChaCha8Rng, page: &mut Model, n: u64) -> Result<(), String> {
    let gfn = b.page(n);
    match rng.next_u32() % 8 {
        0 if page.private => {
            page.bytes = [SECRET, &rng.next_u64().to_be_bytes()].concat();
            b.store(0, n, &page.bytes)?;
        }
        0 | 1 => b.expect(0, n, &page.bytes)?,
        2 if B::ABILITIES.contains(&PageOut) => b.page_out(0, n)?,
        3 => b.page_in(0, gfn)?,
        4 if page.private => {
            let _ = b.guest(0, GuestOp::Store(b.addr(n), vec![0; 64]))?;
            b.guest(0, GuestOp::Share(gfn))?;
            *page = Model { private: false, bytes: vec![0; 64] };
        }
        4 => {
            b.guest(0, GuestOp::Unshare(gfn))?;
            page.private = true;
            page.bytes = b.load(0, n, 64)?;
        }
        5 if !page.private && B::ABILITIES.contains(&SharePages) => {
            b.withdraw(0, n)?.map_err(|e| format!("withdraw: {e}"))?;
        }
        // An attack: any bytes in place of a sealed page.
        _ if b.vm(0).page_state(gfn).map_err(|e| e.to_string())? == PageState::Sealed => {
            let good = b.host_sees(0, n).ok_or("a sealed page is the hypervisor's to read")?;
            let mut bad = good.clone();
            let at = (rng.next_u32() as usize) % bad.len();
            bad[at] ^= 1 << (rng.next_u32() % 8);
            b.host_writes(0, n, &bad)?;
            match patient(|| b.vm(0).page_in(gfn)) {
                Err(e) if e.kind() == ErrorKind::Integrity => b.host_writes(0, n, &good)?,
                Err(e) => return Err(format!("a changed page is refused as {:?}: {e}", e.kind())),
                Ok(()) => return Err("a changed page is taken".into()),
            }
        }
        _ => {}
    }
    Ok(())
}
