//! A fresh machine with the steps every rule needs.

use uv_core::{Error, ErrorKind, Exit, Gfn, GuestAddr, HostAddr, PageIn, PageSize, PageState, SecureVm, Vcpu};

use crate::{Backend, GuestOp, Saw};

/// More exits than any rule needs: a backend that never comes to an end is reported, not waited for.
const MOST_EXITS: u32 = 10_000;

/// A machine of the backend, and what a rule does with it. All steps give a sentence when something is not as it must be.
pub struct Bench<B: Backend> {
    /// The machine.
    pub backend: B,
    /// The seed it was made from.
    pub seed: u64,
    /// Page faults the guest took so far.
    pub faults: u64,
}

impl<B: Backend> core::fmt::Debug for Bench<B> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Bench").field("seed", &self.seed).field("faults", &self.faults).finish_non_exhaustive()
    }
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

impl<B: Backend> Bench<B> {
    pub(crate) fn new(seed: u64) -> Self {
        Self { backend: B::new(seed), seed, faults: 0 }
    }

    /// A VM.
    pub fn vm(&self, index: usize) -> &B::Vm {
        self.backend.vm(index)
    }

    /// The page size.
    pub fn size(&self) -> PageSize {
        self.vm(0).page_size()
    }

    /// Test page `n`.
    pub fn page(&self, n: u64) -> Gfn {
        self.backend.test_pages().add(n)
    }

    /// The guest address of test page `n`.
    pub fn addr(&self, n: u64) -> GuestAddr {
        self.size().addr(self.page(n))
    }

    /// Where test page `n` of a VM lies in normal memory.
    pub fn host_page(&self, index: usize, n: u64) -> HostAddr {
        self.backend.slots(index).host_page(self.page(n)).unwrap_or(HostAddr(0))
    }

    /// Enters secure mode.
    pub fn enter(&self, index: usize) -> Result<(), String> {
        self.backend.enter(index).map_err(|e| format!("the VM does not become secure: {e}"))
    }

    /// Has the guest do one thing and gives what it saw; faults are served by paging in.
    pub fn guest(&mut self, index: usize, op: GuestOp) -> Result<Saw, String> {
        let said = format!("{op:?}");
        let mut cpu = self.backend.cpu(index, vec![op]);
        self.run(index, &mut cpu)?;
        self.backend.saw(&cpu).pop().ok_or_else(|| format!("the guest did not finish {said}"))
    }

    /// Runs a virtual CPU to its end; faults are served by paging in.
    pub fn run(&mut self, index: usize, cpu: &mut B::Cpu) -> Result<(), String> {
        for _ in 0..MOST_EXITS {
            match cpu.run().map_err(|e| format!("the guest cannot run: {e}"))? {
                Exit::Halted => return Ok(()),
                Exit::PageMissing { gfn, .. } => {
                    self.faults += 1;
                    self.page_in(index, gfn)?;
                }
                exit => self.backend.serve(index, cpu, exit).map_err(|e| format!("an exit cannot be served: {e}"))?,
            }
        }
        Err("the guest does not come to an end".into())
    }

    /// Pages in, again while the page is busy.
    pub fn page_in(&self, index: usize, gfn: Gfn) -> Result<(), String> {
        loop {
            match self.vm(index).page_in(gfn) {
                Err(e) if matches!(e.kind(), ErrorKind::Busy | ErrorKind::Partial) => {}
                other => return other.map_err(|e| format!("page {gfn} does not come in: {e}")),
            }
        }
    }

    /// The guest writes to test page `n`.
    pub fn store(&mut self, index: usize, n: u64, bytes: &[u8]) -> Result<(), String> {
        let op = GuestOp::Store(self.addr(n), bytes.to_vec());
        let saw = self.guest(index, op)?;
        ensure!(saw == Saw::Done, "a store ended as {saw:?}");
        Ok(())
    }

    /// The guest reads from test page `n`.
    pub fn load(&mut self, index: usize, n: u64, len: usize) -> Result<Vec<u8>, String> {
        match self.guest(index, GuestOp::Load(self.addr(n), len))? {
            Saw::Bytes(bytes) => Ok(bytes),
            Saw::Done => Err("a load gave no bytes".into()),
        }
    }

    /// The guest must read exactly these bytes.
    pub fn expect(&mut self, index: usize, n: u64, bytes: &[u8]) -> Result<(), String> {
        let seen = self.load(index, n, bytes.len())?;
        ensure!(seen == bytes, "the guest reads {} wrong bytes at test page {n}", differing(&seen, bytes));
        Ok(())
    }

    /// The state of test page `n` must be this one.
    pub fn expect_state(&self, index: usize, n: u64, state: PageState) -> Result<(), String> {
        let found = self.vm(index).page_state(self.page(n)).map_err(|e| e.to_string())?;
        ensure!(found == state, "test page {n} is {found:?}, not {state:?}");
        Ok(())
    }

    /// What the hypervisor reads in the normal page of test page `n`; `None` when the machine refuses the access.
    pub fn host_sees(&self, index: usize, n: u64) -> Option<Vec<u8>> {
        let mut bytes = vec![0; self.size().bytes()];
        self.backend.host().read(self.host_page(index, n), &mut bytes).ok().map(|()| bytes)
    }

    /// The hypervisor writes the normal page of test page `n`.
    pub fn host_writes(&self, index: usize, n: u64, bytes: &[u8]) -> Result<(), String> {
        let at = self.host_page(index, n);
        self.backend.host().write(at, bytes).map_err(|e| format!("the hypervisor cannot write its page: {e}"))
    }
}

/// How many bytes differ.
fn differing(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).filter(|(a, b)| a != b).count() + a.len().abs_diff(b.len())
}

/// Whether `hay` holds `needle` anywhere.
pub(crate) fn holds(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window == needle)
}

/// The result must be a refusal of this kind.
pub(crate) fn refused<T, E: Error>(result: Result<T, E>, kind: ErrorKind, what: &str) -> Result<(), String> {
    match result {
        Ok(_) => Err(format!("{what} is accepted")),
        Err(e) if e.kind() == kind => Ok(()),
        Err(e) => Err(format!("{what} is refused as {:?}, not {kind:?}: {e}", e.kind())),
    }
}
