//! Into secure mode and out of it.

use uv_core::{ErrorKind, SecureVm, VmState};

use super::SECRET;
use crate::bench::{Bench, ensure, refused};
use crate::{Backend, Rule};

pub(crate) fn rules<B: Backend>() -> Vec<Rule<B>> {
    vec![
        Rule { name: "lifecycle", says: "normal, secure, normal again, and secure once more", check: lifecycle },
        Rule { name: "enter-once", says: "a secure VM cannot enter secure mode", check: enter_once },
        Rule { name: "refusal-leaves-nothing", says: "after a refusal the VM is normal and can enter", check: refusal },
        Rule { name: "terminate-wipes", says: "nothing of the guest is readable after the end", check: wipes },
        Rule { name: "fresh-start", says: "a VM that enters again finds nothing of its past", check: fresh },
    ]
}

fn state<B: Backend>(b: &Bench<B>, want: VmState) -> Result<(), String> {
    let found = b.vm(0).vm_state();
    ensure!(found == want, "the VM is {found:?}, not {want:?}");
    Ok(())
}

fn terminate<B: Backend>(b: &Bench<B>) -> Result<(), String> {
    b.vm(0).terminate().map_err(|e| format!("the VM does not end: {e}"))
}

fn lifecycle<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    state(b, VmState::Normal)?;
    terminate(b)?;
    for _ in 0..2 {
        b.enter(0)?;
        state(b, VmState::Secure)?;
        b.store(0, 0, SECRET)?;
        b.expect(0, 0, SECRET)?;
        terminate(b)?;
        state(b, VmState::Normal)?;
        terminate(b)?;
    }
    Ok(())
}

fn enter_once<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    refused(b.backend.enter(0), ErrorKind::WrongState, "entering twice")?;
    state(b, VmState::Secure)?;
    b.expect(0, 0, SECRET)
}

fn refusal<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    for how in b.backend.refusals() {
        ensure!(b.backend.enter_refused(0, how).is_err(), "{how} is accepted");
        state(b, VmState::Normal).map_err(|e| format!("after {how}: {e}"))?;
    }
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    b.expect(0, 0, SECRET)
}

fn wipes<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    (0..8).try_for_each(|n| b.store(0, n, SECRET))?;
    (0..4).try_for_each(|n| uv_core::PageOut::page_out(b.vm(0), b.page(n)).map_err(|e| e.to_string()))?;
    terminate(b)?;
    for n in 0..8 {
        let seen = b.host_sees(0, n).ok_or("the hypervisor's own memory did not come back")?;
        ensure!(!crate::bench::holds(&seen, SECRET), "the secret is readable in the page of test page {n}");
    }
    Ok(())
}

fn fresh<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    (0..4).try_for_each(|n| b.store(0, n, SECRET))?;
    terminate(b)?;
    b.enter(0)?;
    (0..4).try_for_each(|n| b.expect(0, n, &[0; 64]))
}
