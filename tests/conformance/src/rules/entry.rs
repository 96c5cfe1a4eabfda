//! Into secure mode, or not.

use uv_core::{ErrorKind, VmState};

use super::SECRET;
use crate::bench::{Bench, ensure, holds};
use crate::rule::{Act, rule};
use crate::{GuestOp, Rule, Saw};

pub(super) const RULES: &[Rule] = &[
    rule(
        [
            "guest-asks",
            "a VM is normal until the wish of its guest is served, by the CPU that asked, once",
            "EnterSecureMode::enter_secure_mode",
            "as the virtual CPU's last exit asked for",
        ],
        &[Act::Entered, Act::Refused, Act::EnterRefused],
        asks,
    ),
    rule(
        [
            "enter-returns-first",
            "entering returns before the guest runs on",
            "EnterSecureMode::enter_secure_mode",
            "Returns before the guest runs on: its first instruction as a secure guest is executed by the next Vcpu::run.",
        ],
        &[Act::Entered, Act::Loaded],
        returns_first,
    ),
    rule(
        [
            "enter-once",
            "a secure VM cannot enter secure mode, and stays as it is",
            "EnterSecureMode::enter_secure_mode",
            "WrongState when the VM is not normal",
        ],
        &[Act::Entered, Act::Refused, Act::Loaded],
        once,
    ),
    rule(
        [
            "enter-other-vm",
            "what the CPU of one VM asks for is not done to another",
            "EnterSecureMode::enter_secure_mode",
            "or the last exit of the virtual CPU did not ask, or asked for another VM: nothing was done",
        ],
        &[Act::Refused, Act::Entered],
        other_vm,
    ),
    rule(
        [
            "unserved-wish",
            "running on without entering refuses: the guest goes on as a normal one",
            "Exit::EnterSecureMode",
            "Running it without that refuses: the guest is told so and goes on as a normal one.",
        ],
        &[Act::Stored, Act::HostRead, Act::Entered],
        unserved,
    ),
    rule(
        [
            "refusal-leaves-nothing",
            "after a refusal the VM is normal and all its memory the hypervisor's",
            "EnterSecureMode::enter_secure_mode",
            "After any error but WrongState and Busy the ultravisor knows nothing of the VM any more (VmState::Normal), all memory \
             given to it has come back",
        ],
        &[Act::EnterRefused, Act::HostRead, Act::HostWrote],
        leaves_nothing,
    ),
    rule(
        [
            "refusal-is-told",
            "after a refusal the guest goes on as a normal one",
            "EnterSecureMode::enter_secure_mode",
            "the guest is told in the way its machine tells it when it runs on",
        ],
        &[Act::EnterRefused, Act::Stored, Act::HostRead],
        is_told,
    ),
    rule(
        [
            "refusal-then-entry",
            "a VM that was refused enters with a good image",
            "EnterSecureMode::enter_secure_mode",
            "it may ask again",
        ],
        &[Act::EnterRefused, Act::Entered, Act::Loaded],
        then_entry,
    ),
    rule(
        [
            "refusal-kind",
            "a bad image is refused as such, the same way each time, not as a matter of state or patience",
            "EnterSecureMode::enter_secure_mode",
            "Integrity when the image or blob is not what was signed, InvalidArgument, Exhausted; Permission when it was made for \
             another machine.",
        ],
        &[Act::EnterRefused],
        kind,
    ),
];

fn asks(b: &Bench) -> Result<(), String> {
    b.boot(0, None)?;
    b.expect_vm(0, VmState::Normal)?;
    b.accept(0).map_err(|e| e.to_string())?;
    b.expect_vm(0, VmState::Secure)?;
    b.store(0, 0, SECRET)?;
    b.terminate(0)?;
    // The wish was served: the CPU has no other.
    b.refused(b.accept(0), ErrorKind::WrongState, "entering for a CPU that does not ask")?;
    b.expect_vm(0, VmState::Normal)
}

fn returns_first(b: &Bench) -> Result<(), String> {
    b.boot(0, None)?;
    b.tell(0, GuestOp::Store(b.addr(0), SECRET.to_vec()));
    b.accept(0).map_err(|e| e.to_string())?;
    ensure!(b.saw(0).is_empty(), "the guest has run before entering returned");
    let saw = b.guest(0, GuestOp::Load(b.addr(0), SECRET.len()))?;
    // What it was told first is what it saw first.
    ensure!(b.saw(0).first() == Some(&Saw::Done), "the guest does not begin with what it was told");
    ensure!(matches!(saw, Saw::Done | Saw::Bytes(_)), "the guest ended as {saw:?}");
    b.expect(0, 0, SECRET)
}

fn once(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    b.refused(b.accept(0), ErrorKind::WrongState, "entering twice")?;
    b.expect_vm(0, VmState::Secure)?;
    b.expect(0, 0, SECRET)
}

fn other_vm(b: &Bench) -> Result<(), String> {
    b.boot(1, None)?;
    b.boot(0, None)?;
    b.refused(b.accept_for(0, 1), ErrorKind::WrongState, "entering for the CPU of another VM")?;
    b.expect_vm(0, VmState::Normal)?;
    b.expect_vm(1, VmState::Normal)?;
    // Both wishes still stand.
    b.accept(1).map_err(|e| format!("after that: {e}"))?;
    b.accept(0).map_err(|e| format!("after that: {e}"))?;
    b.store(0, 0, SECRET)?;
    b.expect(0, 0, SECRET)
}

fn unserved(b: &Bench) -> Result<(), String> {
    b.boot(0, None)?;
    b.store(0, 0, b"in the open")?;
    b.expect_vm(0, VmState::Normal)?;
    ensure!(
        b.host_reads(0, 0)?.starts_with(b"in the open"),
        "the guest of a normal VM does not write to normal memory"
    );
    b.refused(b.accept(0), ErrorKind::WrongState, "entering for a CPU that went on")?;
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    b.expect(0, 0, SECRET)
}

/// Refuses in every way the machine has, and looks at what is left.
fn each_refusal(b: &Bench, look: impl Fn(&str) -> Result<(), String>) -> Result<(), String> {
    for how in b.refusals() {
        b.boot(0, Some(how))?;
        ensure!(b.accept(0).is_err(), "{how} is accepted");
        look(how).map_err(|e| format!("after {how}: {e}"))?;
    }
    Ok(())
}

fn leaves_nothing(b: &Bench) -> Result<(), String> {
    each_refusal(b, |_| {
        b.expect_vm(0, VmState::Normal)?;
        let counts = b.vm(0).page_counts().map_err(|e| e.to_string())?;
        ensure!(counts.total() == 0, "the ultravisor still has {counts}");
        for n in [0, 7] {
            b.host_writes(0, n, SECRET)?;
            ensure!(b.host_reads(0, n)?.starts_with(SECRET), "the memory did not come back");
        }
        Ok(())
    })
}

fn is_told(b: &Bench) -> Result<(), String> {
    each_refusal(b, |_| {
        b.store(0, 0, b"goes on")?;
        ensure!(b.host_reads(0, 0)?.starts_with(b"goes on"), "the guest's memory is not the hypervisor's");
        b.refused(b.accept(0), ErrorKind::WrongState, "entering for a CPU that was answered").map(drop)
    })
}

fn then_entry(b: &Bench) -> Result<(), String> {
    each_refusal(b, |_| {
        b.enter(0)?;
        b.store(0, 0, SECRET)?;
        b.expect(0, 0, SECRET)?;
        if let Some(seen) = b.host_sees(0, 0)? {
            ensure!(!holds(&seen, SECRET), "the hypervisor reads the secret");
        }
        b.terminate(0)
    })
}

fn kind(b: &Bench) -> Result<(), String> {
    for how in b.refusals() {
        let mut refusals = Vec::new();
        for _ in 0..2 {
            b.boot(0, Some(how))?;
            match b.accept(0) {
                Ok(()) => return Err(format!("{how} is accepted")),
                Err(e) => refusals.push(e.kind),
            }
        }
        let right = [ErrorKind::Integrity, ErrorKind::InvalidArgument, ErrorKind::Exhausted, ErrorKind::Permission];
        ensure!(right.contains(&refusals[0]), "{how} is refused as {:?}", refusals[0]);
        ensure!(refusals[0] == refusals[1], "{how} is refused as {refusals:?}");
    }
    Ok(())
}
