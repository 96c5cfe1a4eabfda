//! An event for each call.

mod vcpu;
mod vm;

use alloc::{sync::Arc, vec::Vec};

use spin::Mutex;
use uv_core::{AccessError, Error, ErrorKind, Exit, Gfn, HostAddr, NormalMemory, PageRange};

pub use vcpu::TracedVcpu;
pub use vm::TracedVm;

/// What happened: the call and how it ended. No content of any page is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Normal memory was read.
    Read {
        /// First byte.
        at: HostAddr,
        /// Bytes.
        len: usize,
        /// Whether it was there.
        ok: bool,
    },
    /// Normal memory was written.
    Write {
        /// First byte.
        at: HostAddr,
        /// Bytes.
        len: usize,
        /// Whether it was there.
        ok: bool,
    },
    /// Pages were to come in.
    PageIn(PageRange, Ended),
    /// Pages were to go out.
    PageOut(PageRange, Ended),
    /// A shared page was withdrawn.
    Withdraw(Gfn, Ended),
    /// Pages were to be given up.
    Destroy(PageRange, Ended),
    /// Pages were to be shared (`true`) or given back, for the guest asked.
    AcceptSharing(PageRange, bool, Ended),
    /// The VM was to enter secure mode.
    Enter(Ended),
    /// The VM was ended.
    Terminate(Ended),
    /// A virtual CPU was run.
    Run(Ran),
}

/// How a run of a virtual CPU ended: an [`Exit`] without the machine's own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran {
    /// [`Exit::PageMissing`].
    PageMissing(Gfn),
    /// [`Exit::EnterSecureMode`].
    EnterSecureMode,
    /// [`Exit::EnterAborted`].
    EnterAborted,
    /// [`Exit::ShareRequest`].
    ShareRequest(PageRange, bool),
    /// [`Exit::Halted`].
    Halted,
    /// [`Exit::Arch`].
    Arch,
    /// An exit that this wrapper does not know.
    Other,
    /// The run failed.
    Failed(ErrorKind),
}

impl Ran {
    fn of<A, E: Error>(result: &Result<Exit<A>, E>) -> Self {
        match result {
            Ok(Exit::PageMissing { gfn, .. }) => Self::PageMissing(*gfn),
            Ok(Exit::EnterSecureMode) => Self::EnterSecureMode,
            Ok(Exit::EnterAborted) => Self::EnterAborted,
            Ok(Exit::ShareRequest { pages, share }) => Self::ShareRequest(*pages, *share),
            Ok(Exit::Halted) => Self::Halted,
            Ok(Exit::Arch(_)) => Self::Arch,
            Ok(_) => Self::Other,
            Err(error) => Self::Failed(error.kind()),
        }
    }
}

/// How a call ended: `None` is success.
pub type Ended = Option<ErrorKind>;

/// Events in order, shared by the wrapper and whoever looks.
pub type EventLog = Arc<Mutex<Vec<Event>>>;

/// Normal memory with a log.
pub struct Traced<M> {
    inner: M,
    log: EventLog,
}

impl<M> core::fmt::Debug for Traced<M> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Traced").field("events", &self.log.lock().len()).finish_non_exhaustive()
    }
}

impl<M> Traced<M> {
    /// Wraps memory; events go to the end of `log`.
    pub fn new(inner: M, log: EventLog) -> Self {
        Self { inner, log }
    }
}

impl<M: NormalMemory> NormalMemory for Traced<M> {
    fn read(&self, at: HostAddr, into: &mut [u8]) -> Result<(), AccessError> {
        let result = self.inner.read(at, into);
        self.log.lock().push(Event::Read { at, len: into.len(), ok: result.is_ok() });
        result
    }

    fn write(&self, at: HostAddr, from: &[u8]) -> Result<(), AccessError> {
        let result = self.inner.write(at, from);
        self.log.lock().push(Event::Write { at, len: from.len(), ok: result.is_ok() });
        result
    }

    fn check(&self, at: HostAddr, len: u64) -> Result<(), AccessError> {
        self.inner.check(at, len)
    }
}
