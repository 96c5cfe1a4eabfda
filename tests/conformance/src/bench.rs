//! A fresh machine with the steps every rule needs. All steps give a sentence when something is not as it must be, and note what
//! happened.

use core::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use uv_core::{Error, ErrorKind, Exit, Gfn, GuestAddr, HostAddr, PageRange, PageSize, PageState, VmState};

use crate::erased::{Failure, Machine, Vm};
use crate::rule::Act;
use crate::{Ability, GuestOp, Refusal, Saw};

/// More exits than any rule needs: a backend that never comes to an end is reported, not waited for.
const MOST_EXITS: u32 = 10_000;

/// A machine, and what a rule does with it.
pub(crate) struct Bench {
    machine: Box<dyn Machine>,
    /// The seed it was made from.
    pub(crate) seed: u64,
    faults: Cell<u64>,
    accepts_sharing: Cell<bool>,
    acts: RefCell<BTreeSet<Act>>,
}

/// Fails with a sentence unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($why:tt)+) => {
        if !$condition {
            return Err(format!($($why)+));
        }
    };
}
pub(crate) use ensure;

impl Bench {
    pub(crate) fn new(machine: Box<dyn Machine>, seed: u64) -> Self {
        Self { machine, seed, faults: Cell::new(0), accepts_sharing: Cell::new(true), acts: RefCell::default() }
    }

    pub(crate) fn has(&self, ability: Ability) -> bool {
        self.machine.abilities().contains(&ability)
    }

    pub(crate) fn keeps_content(&self) -> bool {
        self.machine.sharing_keeps_content()
    }

    pub(crate) fn did(&self, act: Act) -> bool {
        self.acts.borrow().contains(&act)
    }

    pub(crate) fn note(&self, act: Act) {
        self.acts.borrow_mut().insert(act);
    }

    pub(crate) fn code(&self, refusal: Refusal) -> Option<&'static str> {
        self.machine.code(refusal)
    }

    pub(crate) fn refusals(&self) -> Vec<&'static str> {
        self.machine.refusals()
    }

    pub(crate) fn tell(&self, index: usize, op: GuestOp) {
        self.machine.script(index).tell(op);
    }

    pub(crate) fn saw(&self, index: usize) -> Vec<Saw> {
        self.machine.script(index).saw()
    }

    /// Whether the hypervisor does from now on what a guest asks for that cannot share alone.
    pub(crate) fn set_accepts_sharing(&self, accepts: bool) {
        self.accepts_sharing.set(accepts);
    }

    /// Page faults the guests took so far.
    pub(crate) fn faults(&self) -> u64 {
        self.faults.get()
    }

    pub(crate) fn vm(&self, index: usize) -> &dyn Vm {
        self.machine.vm(index)
    }

    pub(crate) fn size(&self) -> PageSize {
        self.vm(0).page_size()
    }

    /// Test page `n`.
    pub(crate) fn page(&self, n: u64) -> Gfn {
        self.machine.test_pages().add(n)
    }

    /// `count` test pages from number `n` on.
    pub(crate) fn pages(&self, n: u64, count: u64) -> PageRange {
        PageRange::new(self.page(n), count)
    }

    /// The guest address of test page `n`.
    pub(crate) fn addr(&self, n: u64) -> GuestAddr {
        self.size().addr(self.page(n))
    }

    /// Where test page `n` of a VM lies in normal memory.
    fn host_page(&self, index: usize, n: u64) -> Result<HostAddr, String> {
        self.vm(index).mem_slots().host_page(self.page(n)).ok_or_else(|| format!("test page {n} is in no slot"))
    }

    /// Boots a VM and takes it into secure mode.
    pub(crate) fn enter(&self, index: usize) -> Result<(), String> {
        self.boot(index, None)?;
        self.accept(index).map_err(|e| format!("the VM does not become secure: {e}"))
    }

    /// Boots a VM and runs its guest until it asks to enter secure mode.
    pub(crate) fn boot(&self, index: usize, refusal: Option<&str>) -> Result<(), String> {
        self.machine.boot(index, refusal);
        for _ in 0..MOST_EXITS {
            match self.run(index)? {
                Exit::EnterSecureMode => return Ok(()),
                Exit::Halted => return Err("the guest does not ask to enter secure mode".into()),
                exit => self.serve(index, exit)?,
            }
        }
        Err("the guest does not come to ask".into())
    }

    /// The hypervisor's part of entering, for the boot CPU of the VM.
    pub(crate) fn accept(&self, index: usize) -> Result<(), Failure> {
        self.accept_for(index, index)
    }

    /// The hypervisor's part of entering VM `index`, for the boot CPU of VM `asking`.
    pub(crate) fn accept_for(&self, index: usize, asking: usize) -> Result<(), Failure> {
        let result = patient(|| self.machine.enter(index, asking));
        self.note(if result.is_ok() { Act::Entered } else { Act::EnterRefused });
        result
    }

    /// Runs the boot CPU of a VM once.
    pub(crate) fn run(&self, index: usize) -> Result<Exit<()>, String> {
        let exit = self.try_run(index).map_err(|e| format!("the guest cannot run: {e}"))?;
        if exit == Exit::Halted {
            self.note(Act::Halted);
        }
        Ok(exit)
    }

    pub(crate) fn try_run(&self, index: usize) -> Result<Exit<()>, Failure> {
        patient(|| self.machine.run(index))
    }

    /// Has the guest do one thing and gives what it saw; exits are served.
    pub(crate) fn guest(&self, index: usize, op: GuestOp) -> Result<Saw, String> {
        let said = format!("{op:?}");
        let before = self.saw(index).len();
        self.tell(index, op);
        for _ in 0..MOST_EXITS {
            let exit = self.run(index)?;
            self.serve(index, exit)?;
            if let Some(saw) = self.saw(index).into_iter().nth(before) {
                return Ok(saw);
            }
        }
        Err(format!("the guest does not finish {}", said.chars().take(80).collect::<String>()))
    }

    /// Runs the guest until it needs a page, and gives the page without serving it.
    pub(crate) fn run_to_fault(&self, index: usize) -> Result<Gfn, String> {
        for _ in 0..MOST_EXITS {
            match self.run(index)? {
                Exit::PageMissing { gfn, .. } => {
                    self.note(Act::Faulted);
                    return Ok(gfn);
                }
                Exit::Halted => return Err("the guest halts where it must fault".into()),
                exit => self.serve(index, exit)?,
            }
        }
        Err("the guest does not fault".into())
    }

    pub(crate) fn serve(&self, index: usize, exit: Exit<()>) -> Result<(), String> {
        match exit {
            Exit::Halted => Ok(()),
            Exit::PageMissing { gfn, .. } => {
                self.faults.set(self.faults.get() + 1);
                self.note(Act::Faulted);
                self.page_in_gfn(index, gfn)
            }
            Exit::ShareRequest { .. } if !self.has(Ability::AcceptSharing) => {
                Err("a VM that cannot be asked to share asks".into())
            }
            Exit::ShareRequest { pages, share } if self.accepts_sharing.get() => {
                let done = patient(|| self.vm(index).accept_sharing(pages, share));
                done.map_err(|e| format!("what the guest asks to share is refused: {e}"))
            }
            Exit::ShareRequest { .. } => Ok(()),
            Exit::Arch(()) => self.machine.serve(index).map_err(|e| format!("an exit cannot be served: {e}")),
            Exit::EnterSecureMode => Err("a guest that runs on asks to enter secure mode again".into()),
            Exit::EnterAborted => Err("the ultravisor gives up".into()),
            _ => Err("an exit that the suite does not know".into()),
        }
    }

    /// Takes test page `n` out; it must be sealed afterwards if it was secure.
    pub(crate) fn page_out(&self, index: usize, n: u64) -> Result<(), String> {
        let before = self.state(index, n)?;
        patient(|| self.vm(index).page_out(self.page(n))).map_err(|e| format!("test page {n} does not go out: {e}"))?;
        if before == PageState::Secure {
            self.expect_state(index, n, PageState::Sealed)?;
            self.note(Act::PagedOut);
        }
        Ok(())
    }

    /// Takes the memory behind test page `n` away.
    pub(crate) fn withdraw(&self, index: usize, n: u64) -> Result<(), Failure> {
        patient(|| self.vm(index).withdraw(self.page(n)))?;
        self.note(Act::Withdrawn);
        Ok(())
    }

    /// Gives up test pages.
    pub(crate) fn destroy(&self, index: usize, range: PageRange) -> Result<(), String> {
        patient(|| self.vm(index).destroy_range(range)).map_err(|e| format!("pages are not given up: {e}"))?;
        self.note(Act::Destroyed);
        Ok(())
    }

    /// Ends a VM.
    pub(crate) fn terminate(&self, index: usize) -> Result<(), String> {
        let before = self.vm(index).vm_state();
        patient(|| self.vm(index).terminate()).map_err(|e| format!("the VM does not end: {e}"))?;
        self.expect_vm(index, VmState::Normal)?;
        if before == VmState::Secure {
            self.note(Act::Ended);
        }
        Ok(())
    }

    /// Takes test page `n` in.
    pub(crate) fn page_in(&self, index: usize, n: u64) -> Result<(), String> {
        self.page_in_gfn(index, self.page(n))
    }

    fn page_in_gfn(&self, index: usize, gfn: Gfn) -> Result<(), String> {
        let before = self.vm(index).page_state(gfn);
        patient(|| self.vm(index).page_in(gfn)).map_err(|e| format!("page {gfn} does not come in: {e}"))?;
        if !matches!(before, Ok(PageState::Secure | PageState::Shared)) {
            self.note(Act::PagedIn);
        }
        Ok(())
    }

    /// Takes a range in; it must succeed.
    pub(crate) fn page_in_range(&self, index: usize, range: PageRange) -> Result<(), String> {
        patient(|| self.vm(index).page_in_range(range)).map_err(|e| format!("the range does not come in: {e}"))?;
        self.note(Act::PagedIn);
        Ok(())
    }

    /// Takes a range out; it must succeed.
    pub(crate) fn page_out_range(&self, index: usize, range: PageRange) -> Result<(), String> {
        patient(|| self.vm(index).page_out_range(range)).map_err(|e| format!("the range does not go out: {e}"))?;
        self.note(Act::PagedOut);
        Ok(())
    }

    /// The VM must be in this state.
    pub(crate) fn expect_vm(&self, index: usize, want: VmState) -> Result<(), String> {
        let found = self.vm(index).vm_state();
        ensure!(found == want, "the VM is {found:?}, not {want:?}");
        Ok(())
    }

    /// The state of test page `n`.
    pub(crate) fn state(&self, index: usize, n: u64) -> Result<PageState, String> {
        self.vm(index).page_state(self.page(n)).map_err(|e| e.to_string())
    }

    /// The state of test page `n` must be this one.
    pub(crate) fn expect_state(&self, index: usize, n: u64, state: PageState) -> Result<(), String> {
        let found = self.state(index, n)?;
        ensure!(found == state, "test page {n} is {found:?}, not {state:?}");
        Ok(())
    }

    /// The guest writes to test page `n`.
    pub(crate) fn store(&self, index: usize, n: u64, bytes: &[u8]) -> Result<(), String> {
        self.store_at(index, self.addr(n), bytes)
    }

    /// The guest writes.
    pub(crate) fn store_at(&self, index: usize, at: GuestAddr, bytes: &[u8]) -> Result<(), String> {
        let saw = self.guest(index, GuestOp::Store(at, bytes.to_vec()))?;
        ensure!(saw == Saw::Done, "a store ended as {saw:?}");
        self.note(Act::Stored);
        Ok(())
    }

    /// The guest reads from test page `n`.
    pub(crate) fn load(&self, index: usize, n: u64, len: usize) -> Result<Vec<u8>, String> {
        match self.guest(index, GuestOp::Load(self.addr(n), len))? {
            Saw::Bytes(bytes) => {
                self.note(Act::Loaded);
                Ok(bytes)
            }
            other => Err(format!("a load ended as {other:?}")),
        }
    }

    /// The guest must read exactly these bytes.
    pub(crate) fn expect(&self, index: usize, n: u64, bytes: &[u8]) -> Result<(), String> {
        let seen = self.load(index, n, bytes.len())?;
        ensure!(seen == bytes, "the guest reads {} wrong bytes at test page {n}", differing(&seen, bytes));
        Ok(())
    }

    /// The guest shares a page, or takes it back.
    pub(crate) fn set_shared(&self, index: usize, n: u64, share: bool) -> Result<(), String> {
        let op = if share { GuestOp::Share(self.page(n)) } else { GuestOp::Unshare(self.page(n)) };
        let saw = self.guest(index, op)?;
        ensure!(saw == Saw::Done, "a guest that sets sharing of page {n} to {share} saw {saw:?}");
        self.note(if share { Act::Shared } else { Act::Unshared });
        Ok(())
    }

    /// What the hypervisor reads in the normal page of test page `n`; nothing when the machine refuses the access.
    pub(crate) fn host_sees(&self, index: usize, n: u64) -> Result<Option<Vec<u8>>, String> {
        let mut bytes = vec![0; self.size().bytes()];
        let read = self.machine.host().read(self.host_page(index, n)?, &mut bytes);
        if read.is_ok() {
            self.note(Act::HostRead);
        }
        Ok(read.ok().map(|()| bytes))
    }

    /// What the hypervisor reads in a normal page that is its own.
    pub(crate) fn host_reads(&self, index: usize, n: u64) -> Result<Vec<u8>, String> {
        self.host_sees(index, n)?.ok_or_else(|| format!("the hypervisor cannot read its own memory at test page {n}"))
    }

    /// The hypervisor writes the normal page of test page `n`.
    pub(crate) fn host_writes(&self, index: usize, n: u64, bytes: &[u8]) -> Result<(), String> {
        let at = self.host_page(index, n)?;
        self.machine.host().write(at, bytes).map_err(|e| format!("the hypervisor cannot write its page: {e}"))?;
        self.note(Act::HostWrote);
        Ok(())
    }

    /// The result must be a refusal of this kind.
    pub(crate) fn refused<T, E: Error>(&self, result: Result<T, E>, kind: ErrorKind, what: &str) -> Result<E, String> {
        match result {
            Ok(_) => Err(format!("{what} is accepted")),
            Err(e) if e.kind() == kind => {
                self.note(Act::Refused);
                Ok(e)
            }
            Err(e) => Err(format!("{what} is refused as {:?}, not {kind:?}: {e}", e.kind())),
        }
    }

    /// What the hypervisor finds in a page that the guest wrote and that went out.
    pub(crate) fn sealed(&self, index: usize, n: u64, bytes: &[u8]) -> Result<Vec<u8>, String> {
        self.store(index, n, bytes)?;
        self.page_out(index, n)?;
        let page = self.host_reads(index, n)?;
        ensure!(!holds(&page, bytes), "the sealed page holds what the guest wrote");
        Ok(page)
    }

    /// A page of content that differs from that of every other number in every block.
    pub(crate) fn content(&self, number: u8) -> Vec<u8> {
        (0..self.size().bytes()).map(|at| u8::try_from(at % 239).unwrap_or(0) ^ number).collect()
    }
}

/// How often a call is made again that is busy.
const PATIENCE: u32 = 10_000;

/// Makes a call again while it is busy, or not done yet.
pub(crate) fn patient<T, E: Error>(mut call: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    for _ in 0..PATIENCE {
        match call() {
            Err(e) if matches!(e.kind(), ErrorKind::Busy | ErrorKind::Partial) => {}
            other => return other,
        }
    }
    call()
}

/// How many bytes differ.
fn differing(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).filter(|(a, b)| a != b).count() + a.len().abs_diff(b.len())
}

/// Whether `hay` holds `needle` anywhere.
pub(crate) fn holds(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window == needle)
}
