//! A fresh machine with the steps every rule needs.

use uv_core::{
    EnterSecureMode, Error, ErrorKind, Exit, Gfn, GuestAddr, HostAddr, PageIn, PageOut, PageSize, PageState, SecureVm,
    SharePages, Vcpu, VmState,
};

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
    /// Whether the hypervisor does what a guest asks for that cannot share alone.
    pub accepts_sharing: bool,
    /// The virtual CPUs of the VMs that were booted.
    cpus: [Option<B::Cpu>; 2],
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
    /// A fresh machine, for rules to run on.
    pub fn new(seed: u64) -> Self {
        Self { backend: B::new(seed), seed, faults: 0, accepts_sharing: true, cpus: [None, None] }
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
        self.vm(index).mem_slots().host_page(self.page(n)).unwrap_or(HostAddr(0))
    }

    /// Boots a VM and takes it into secure mode.
    pub fn enter(&mut self, index: usize) -> Result<(), String> {
        self.boot(index, None)?;
        self.accept(index)?.map_err(|e| format!("the VM does not become secure: {e}"))
    }

    /// Boots a VM and runs its guest until it asks to enter secure mode.
    pub fn boot(&mut self, index: usize, refusal: Option<&str>) -> Result<(), String> {
        let cpu = self.backend.boot(index, refusal);
        self.cpus[index] = Some(cpu);
        self.with_cpu(index, |b, cpu| {
            for _ in 0..MOST_EXITS {
                match patient(|| cpu.run()).map_err(|e| format!("the guest cannot run: {e}"))? {
                    Exit::EnterSecureMode => return Ok(()),
                    Exit::Halted => return Err("the guest does not ask to enter secure mode".into()),
                    exit => b.serve(index, cpu, exit)?,
                }
            }
            Err("the guest does not come to ask".into())
        })
    }

    /// The hypervisor's part of entering, for the boot CPU of a VM.
    pub fn accept(&mut self, index: usize) -> Result<Result<(), B::Error>, String> {
        self.with_cpu(index, |b, cpu| Ok(patient(|| b.vm(index).enter_secure_mode(cpu)).map(drop)))
    }

    /// Runs the boot CPU of a VM once.
    pub fn run_once(&mut self, index: usize) -> Result<Exit<<B::Cpu as Vcpu>::Arch>, String> {
        self.with_cpu(index, |_, cpu| patient(|| cpu.run()).map_err(|e| format!("the guest cannot run: {e}")))
    }

    /// Has the guest do one thing and gives what it saw; exits are served.
    pub fn guest(&mut self, index: usize, op: GuestOp) -> Result<Saw, String> {
        let said = format!("{op:?}");
        let before = self.backend.saw(index).len();
        self.backend.tell(index, vec![op]);
        self.with_cpu(index, |b, cpu| {
            for _ in 0..MOST_EXITS {
                let exit = patient(|| cpu.run()).map_err(|e| format!("the guest cannot run: {e}"))?;
                b.serve(index, cpu, exit)?;
                if let Some(saw) = b.backend.saw(index).into_iter().nth(before) {
                    return Ok(saw);
                }
            }
            Err(format!("the guest does not finish {said}"))
        })
    }

    fn with_cpu<T>(
        &mut self,
        index: usize,
        act: impl FnOnce(&mut Self, &mut B::Cpu) -> Result<T, String>,
    ) -> Result<T, String> {
        let mut cpu = self.cpus[index].take().ok_or("the VM was not booted")?;
        let result = act(self, &mut cpu);
        self.cpus[index] = Some(cpu);
        result
    }

    fn serve(&mut self, index: usize, cpu: &mut B::Cpu, exit: Exit<<B::Cpu as Vcpu>::Arch>) -> Result<(), String> {
        match exit {
            Exit::Halted => Ok(()),
            Exit::PageMissing { gfn, .. } => {
                self.faults += 1;
                self.page_in(index, gfn)
            }
            Exit::ShareRequest { pages, share } if self.accepts_sharing => {
                let sharing = self.vm(index).as_accept_sharing().ok_or("a VM that cannot be asked to share asks")?;
                let done = patient(|| sharing.accept_sharing(pages, share));
                done.map_err(|e| format!("what the guest asks to share is refused: {e}"))
            }
            Exit::ShareRequest { .. } => Ok(()),
            Exit::Arch(exit) => {
                self.backend.serve(index, cpu, exit).map_err(|e| format!("an exit cannot be served: {e}"))
            }
            Exit::EnterSecureMode => Err("a guest that runs on asks to enter secure mode again".into()),
            Exit::EnterAborted => Err("the ultravisor gives up".into()),
            _ => Err("an exit that the suite does not know".into()),
        }
    }

    /// The ability to page out, for rules that need it.
    pub fn page_out_of(&self, index: usize) -> Result<&dyn PageOut<Error = B::Error>, String> {
        self.vm(index).as_page_out().ok_or_else(|| "the ability to page out is not there".into())
    }

    /// The ability to take the memory behind shared pages, for rules that need it.
    pub fn sharing_of(&self, index: usize) -> Result<&dyn SharePages<Error = B::Error>, String> {
        self.vm(index).as_share_pages().ok_or_else(|| "the ability to withdraw pages is not there".into())
    }

    /// Takes test page `n` out.
    pub fn page_out(&self, index: usize, n: u64) -> Result<(), String> {
        let out = self.page_out_of(index)?;
        patient(|| out.page_out(self.page(n))).map_err(|e| format!("test page {n} does not go out: {e}"))
    }

    /// Takes the memory behind test page `n` away.
    pub fn withdraw(&self, index: usize, n: u64) -> Result<Result<(), B::Error>, String> {
        let sharing = self.sharing_of(index)?;
        Ok(patient(|| sharing.withdraw(self.page(n))))
    }

    /// Ends a VM.
    pub fn terminate(&self, index: usize) -> Result<(), String> {
        patient(|| self.vm(index).terminate()).map_err(|e| format!("the VM does not end: {e}"))
    }

    /// Pages in.
    pub fn page_in(&self, index: usize, gfn: Gfn) -> Result<(), String> {
        patient(|| self.vm(index).page_in(gfn)).map_err(|e| format!("page {gfn} does not come in: {e}"))
    }

    /// The VM must be in this state.
    pub fn expect_vm(&self, index: usize, want: VmState) -> Result<(), String> {
        let found = self.vm(index).vm_state();
        ensure!(found == want, "the VM is {found:?}, not {want:?}");
        Ok(())
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
            other => Err(format!("a load ended as {other:?}")),
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

/// The result must be a refusal of this kind.
pub(crate) fn refused<T, E: Error>(result: Result<T, E>, kind: ErrorKind, what: &str) -> Result<(), String> {
    match result {
        Ok(_) => Err(format!("{what} is accepted")),
        Err(e) if e.kind() == kind => Ok(()),
        Err(e) => Err(format!("{what} is refused as {:?}, not {kind:?}: {e}", e.kind())),
    }
}
