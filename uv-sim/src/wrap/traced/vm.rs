//! A VM with a log.

use uv_core::{
    AcceptSharing, DestroyPages, EnterSecureMode, Error, ErrorType, Gfn, MemSlots, PageCounts, PageIn, PageOut,
    PageRange, PageSize, PageState, RangeError, SecureVm, SharePages, Unsupported, VmState,
};

use super::{Ended, Event, EventLog, TracedVcpu};
use crate::wrap::flaky::lacking;

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

    /// The VM inside.
    pub const fn inner(&self) -> &V {
        &self.inner
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
    as_inside!();

    fn page_state(&self, gfn: Gfn) -> Result<PageState, Self::Error> {
        self.inner.page_state(gfn)
    }

    fn page_counts(&self) -> Result<PageCounts, Self::Error> {
        self.inner.page_counts()
    }

    fn terminate(&self) -> Result<(), Self::Error> {
        self.note(self.inner.terminate(), Event::Terminate)
    }
}

impl<V: EnterSecureMode> EnterSecureMode for TracedVm<V> {
    type Cpu = TracedVcpu<V::Cpu>;
    type Entry = V::Entry;

    fn enter_secure_mode(&self, cpu: &mut Self::Cpu) -> Result<V::Entry, Self::Error> {
        self.note(self.inner.enter_secure_mode(&mut cpu.inner), Event::Enter)
    }
}

impl<V: PageIn> PageIn for TracedVm<V> {
    fn page_in_range(&self, range: PageRange) -> Result<(), RangeError<Self::Error>> {
        self.note(self.inner.page_in_range(range), |ended| Event::PageIn(range, ended))
    }
}

impl<V: SecureVm> PageOut for TracedVm<V> {
    fn page_out_range(&self, range: PageRange) -> Result<(), RangeError<Self::Error>> {
        let inner = self.inner.as_page_out().ok_or_else(lacking)?;
        self.note(inner.page_out_range(range), |ended| Event::PageOut(range, ended))
    }
}

impl<V: SecureVm> SharePages for TracedVm<V> {
    fn is_shared(&self, gfn: Gfn) -> Result<bool, Self::Error> {
        self.inner.as_share_pages().ok_or(Unsupported)?.is_shared(gfn)
    }

    fn withdraw(&self, gfn: Gfn) -> Result<(), Self::Error> {
        let inner = self.inner.as_share_pages().ok_or(Unsupported)?;
        self.note(inner.withdraw(gfn), |ended| Event::Withdraw(gfn, ended))
    }
}

impl<V: SecureVm> AcceptSharing for TracedVm<V> {
    fn accept_sharing(&self, pages: PageRange, share: bool) -> Result<(), RangeError<Self::Error>> {
        let inner = self.inner.as_accept_sharing().ok_or_else(lacking)?;
        self.note(inner.accept_sharing(pages, share), |ended| Event::AcceptSharing(pages, share, ended))
    }
}

impl<V: SecureVm> DestroyPages for TracedVm<V> {
    fn destroy_range(&self, range: PageRange) -> Result<(), RangeError<Self::Error>> {
        let inner = self.inner.as_destroy_pages().ok_or_else(lacking)?;
        self.note(inner.destroy_range(range), |ended| Event::Destroy(range, ended))
    }
}
