//! An event for each call.

use alloc::{sync::Arc, vec::Vec};

use spin::Mutex;
use uv_core::{
    AccessError, Error, ErrorKind, ErrorType, Gfn, HostAddr, NormalMemory, PageIn, PageOut, PageRange, PageSize,
    PageState, RangeError, SecureVm, SharePages, VmState,
};

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
    /// The VM was ended.
    Terminate(Ended),
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

/// A VM with a log.
pub struct TracedVm<V> {
    inner: V,
    log: EventLog,
}

impl<V> core::fmt::Debug for TracedVm<V> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TracedVm").field("events", &self.log.lock().len()).finish_non_exhaustive()
    }
}

impl<V> TracedVm<V> {
    /// Wraps a VM; events go to the end of `log`.
    pub fn new(inner: V, log: EventLog) -> Self {
        Self { inner, log }
    }

    fn note<T, E: Error>(&self, result: Result<T, E>, event: impl FnOnce(Ended) -> Event) -> Result<T, E> {
        self.log.lock().push(event(result.as_ref().err().map(Error::kind)));
        result
    }
}

impl<V: SecureVm> ErrorType for TracedVm<V> {
    type Error = V::Error;
}

impl<V: SecureVm> SecureVm for TracedVm<V> {
    fn page_size(&self) -> PageSize {
        self.inner.page_size()
    }

    fn vm_state(&self) -> VmState {
        self.inner.vm_state()
    }

    fn page_state(&self, gfn: Gfn) -> Result<PageState, Self::Error> {
        self.inner.page_state(gfn)
    }

    fn terminate(&self) -> Result<(), Self::Error> {
        self.note(self.inner.terminate(), Event::Terminate)
    }
}

impl<V: PageIn> PageIn for TracedVm<V> {
    fn page_in_range(&self, range: PageRange) -> Result<(), RangeError<Self::Error>> {
        self.note(self.inner.page_in_range(range), |ended| Event::PageIn(range, ended))
    }
}

impl<V: PageOut> PageOut for TracedVm<V> {
    fn page_out_range(&self, range: PageRange) -> Result<(), RangeError<Self::Error>> {
        self.note(self.inner.page_out_range(range), |ended| Event::PageOut(range, ended))
    }
}

impl<V: SharePages> SharePages for TracedVm<V> {
    fn is_shared(&self, gfn: Gfn) -> Result<bool, Self::Error> {
        self.inner.is_shared(gfn)
    }

    fn withdraw(&self, gfn: Gfn) -> Result<(), Self::Error> {
        self.note(self.inner.withdraw(gfn), |ended| Event::Withdraw(gfn, ended))
    }
}
