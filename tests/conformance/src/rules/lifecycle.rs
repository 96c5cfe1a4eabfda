//! Into secure mode and out of it.

use uv_core::{Error, ErrorKind, VmState};

use super::SECRET;
use crate::bench::{Bench, ensure, holds, refused};
use crate::{Ability, Backend, Rule};

pub(crate) fn rules<B: Backend>() -> Vec<Rule<B>> {
    vec![
        Rule::new("abilities", "a VM has the abilities that its machine has, and no other", abilities),
        Rule::new("lifecycle", "normal, secure, normal again, and secure once more", lifecycle),
        Rule::new("enter-once", "a secure VM cannot enter secure mode", enter_once),
        Rule::new(
            "refusal-leaves-nothing",
            "after a refusal the VM is normal, its guest goes on, and can enter",
            refusal,
        ),
        Rule::new("terminate-wipes", "nothing of the guest is readable after the end", wipes),
        Rule::new("fresh-start", "a VM that enters again finds nothing of its past", fresh),
    ]
}

fn abilities<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    for ability in Ability::ALL {
        let (has, says) = (ability.is_of(b.vm(0)), B::ABILITIES.contains(&ability));
        ensure!(has == says, "{ability:?} is {}there", if has { "" } else { "not " });
    }
    Ok(())
}

fn lifecycle<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.expect_vm(0, VmState::Normal)?;
    b.terminate(0)?;
    for _ in 0..2 {
        b.enter(0)?;
        b.expect_vm(0, VmState::Secure)?;
        b.store(0, 0, SECRET)?;
        b.expect(0, 0, SECRET)?;
        b.terminate(0)?;
        b.expect_vm(0, VmState::Normal)?;
        b.terminate(0)?;
    }
    Ok(())
}

fn enter_once<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    refused(b.accept(0)?, ErrorKind::WrongState, "entering twice")?;
    b.expect_vm(0, VmState::Secure)?;
    b.expect(0, 0, SECRET)
}

fn refusal<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    for how in b.backend.refusals() {
        b.boot(0, Some(how))?;
        match b.accept(0)? {
            Ok(()) => return Err(format!("{how} is accepted")),
            Err(e) if e.kind() == ErrorKind::WrongState => {
                return Err(format!("{how} is refused as if nobody had asked: {e}"));
            }
            Err(_) => {}
        }
        let after = |e| format!("after {how}: {e}");
        b.expect_vm(0, VmState::Normal).map_err(after)?;
        b.store(0, 0, b"goes on").map_err(after)?;
        let seen = b.host_sees(0, 0).ok_or_else(|| after("the VM's memory did not come back".into()))?;
        ensure!(seen.starts_with(b"goes on"), "after {how}: the guest's memory is not the hypervisor's");
    }
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    b.expect(0, 0, SECRET)
}

fn wipes<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    (0..8).try_for_each(|n| b.store(0, n, SECRET))?;
    if B::ABILITIES.contains(&Ability::PageOut) {
        (0..4).try_for_each(|n| b.page_out(0, n))?;
    }
    b.terminate(0)?;
    for n in 0..8 {
        let seen = b.host_sees(0, n).ok_or("the hypervisor's own memory did not come back")?;
        ensure!(!holds(&seen, SECRET), "the secret is readable in the page of test page {n}");
    }
    Ok(())
}

fn fresh<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    (0..4).try_for_each(|n| b.store(0, n, SECRET))?;
    b.terminate(0)?;
    b.enter(0)?;
    (0..4).try_for_each(|n| b.expect(0, n, &[0; 64]))
}
