//! One VM on each machine, ready for the same hypervisor: its guest asks to become secure with a damaged image, mends it, asks
//! again, works, shares a page, and halts.

mod bare;
mod power;
mod s390;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uv_core::{EnterSecureMode, GuestAddr, NormalMemory, PageSize};
use uv_sim::guest::{Outcome, Step};

pub use bare::bare;
pub use power::power;
pub use s390::s390;

/// Pages the guest works on.
pub const WORK: u64 = 24;
/// What the guest writes to the page that it shares.
pub const GREETING: &[u8] = b"to whom it may concern";

/// A VM that is not secure, with its boot CPU.
#[derive(Debug)]
pub struct Ready<V: EnterSecureMode> {
    /// The VM.
    pub vm: V,
    /// Its virtual CPU.
    pub cpu: V::Cpu,
    /// The hypervisor's memory.
    pub memory: Memory,
    /// Guest address of the page that the guest shares.
    pub shared: GuestAddr,
    /// What the guest found.
    pub found: Found,
}

/// The hypervisor's memory, not shown.
#[derive(Clone)]
pub struct Memory(pub Arc<dyn NormalMemory>);

impl core::fmt::Debug for Memory {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Memory(..)")
    }
}

/// What a guest found in its own memory: pages that hold what it wrote, and pages that do not.
#[derive(Clone, Debug, Default)]
pub struct Found(Arc<Mutex<[u32; 2]>>);

impl Found {
    fn lock(&self) -> MutexGuard<'_, [u32; 2]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pages read that were right, and wrong.
    #[must_use]
    pub fn pages(&self) -> [u32; 2] {
        *self.lock()
    }
}

/// One thing for the guest to do.
enum Op<C> {
    Do(Step<C>),
    /// Reads, and compares with this.
    Read(GuestAddr, Vec<u8>),
}

/// What the guest does once it is secure: writes its pages, reads them all, shares the page behind them.
fn work<C>(first: GuestAddr, size: PageSize, share: C) -> Vec<Op<C>> {
    let at = |n: u64| GuestAddr(first.0 + (n << size.shift()));
    let content = |n: u64| [b"page ", n.to_be_bytes().as_slice()].concat();
    let writes = (0..WORK).map(|n| Op::Do(Step::store(at(n), &content(n))));
    let reads = (0..WORK).map(|n| Op::Read(at(n), content(n)));
    let last = [Op::Do(Step::Call(share)), Op::Do(Step::store(at(WORK), GREETING))];
    writes.chain(reads).chain(last).collect()
}

/// The guest's program; a CPU that starts anew goes on with what is left.
struct Guest<C> {
    todo: Arc<Mutex<VecDeque<Op<C>>>>,
    found: Found,
    expected: Option<Vec<u8>>,
}

impl<C> Clone for Guest<C> {
    fn clone(&self) -> Self {
        Self { todo: Arc::clone(&self.todo), found: self.found.clone(), expected: None }
    }
}

impl<C> Guest<C> {
    fn new(ops: Vec<Op<C>>) -> Self {
        Self { todo: Arc::new(Mutex::new(ops.into())), found: Found::default(), expected: None }
    }

    fn next<R>(&mut self, last: Outcome<R>) -> Step<C> {
        if let (Some(expected), Outcome::Loaded(bytes)) = (self.expected.take(), last) {
            self.found.lock()[usize::from(*bytes != expected)] += 1;
        }
        match self.todo.lock().unwrap_or_else(PoisonError::into_inner).pop_front() {
            Some(Op::Do(step)) => step,
            Some(Op::Read(at, expected)) => {
                let step = Step::load(at, expected.len());
                self.expected = Some(expected);
                step
            }
            None => Step::Halt,
        }
    }
}
