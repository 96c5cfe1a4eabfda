//! Virtual CPUs, and the guest's wish to enter.

use uv_core::{ErrorKind, Exit, VmState};

use super::SECRET;
use crate::bench::{Bench, ensure, refused};
use crate::{Backend, GuestOp, Rule, Saw};

pub(crate) fn rules<B: Backend>() -> Vec<Rule<B>> {
    vec![
        Rule::new("guest-asks", "a VM is normal until the wish of its guest is served, by the CPU that asked", asks),
        Rule::new("enter-returns-first", "entering returns before the guest runs on", returns_first),
        Rule::new("unserved-wish", "running on without entering refuses: the guest goes on as a normal one", unserved),
        Rule::new("halted-again", "a CPU that halted can be run, and halts again", halted),
    ]
}

fn asks<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.boot(0, None)?;
    b.expect_vm(0, VmState::Normal)?;
    b.accept(0)?.map_err(|e| e.to_string())?;
    b.expect_vm(0, VmState::Secure)?;
    b.store(0, 0, SECRET)?;
    b.terminate(0)?;
    b.expect_vm(0, VmState::Normal)?;
    // The wish was served: the CPU has no other.
    refused(b.accept(0)?, ErrorKind::WrongState, "entering for a CPU that does not ask")?;
    b.expect_vm(0, VmState::Normal)
}

fn returns_first<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.boot(0, None)?;
    b.backend.tell(0, vec![GuestOp::Store(b.addr(0), SECRET.to_vec())]);
    b.accept(0)?.map_err(|e| e.to_string())?;
    ensure!(b.backend.saw(0).is_empty(), "the guest has run before entering returned");
    let saw = b.guest(0, GuestOp::Load(b.addr(0), SECRET.len()))?;
    // What it was told first is what it saw first.
    ensure!(b.backend.saw(0).first() == Some(&Saw::Done), "the guest does not begin with what it was told");
    ensure!(matches!(saw, Saw::Done | Saw::Bytes(_)), "the guest ended as {saw:?}");
    b.expect(0, 0, SECRET)
}

fn unserved<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.boot(0, None)?;
    b.store(0, 0, b"in the open")?;
    b.expect_vm(0, VmState::Normal)?;
    let seen = b.host_sees(0, 0).ok_or("the hypervisor cannot read its own memory")?;
    ensure!(seen.starts_with(b"in the open"), "the guest of a normal VM does not write to normal memory");
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    b.expect(0, 0, SECRET)
}

fn halted<B: Backend>(b: &mut Bench<B>) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    b.backend.tell(0, vec![GuestOp::End]);
    let mut halts = 0;
    for _ in 0..100 {
        match b.run_once(0)? {
            Exit::Halted => halts += 1,
            // The guest may wait in its machine's own way before it finds what it was told.
            Exit::Arch(_) if halts == 0 => {}
            _ => return Err("a guest that waits for ever has another exit".into()),
        }
        if halts == 5 {
            return b.expect_vm(0, VmState::Secure);
        }
    }
    Err("a guest that waits for ever does not halt".into())
}
