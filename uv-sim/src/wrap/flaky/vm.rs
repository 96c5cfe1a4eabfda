//! A VM whose calls are sometimes refused for a reason that passes.

use uv_core::{
    AcceptSharing, DestroyPages, EnterSecureMode, Error, ErrorKind, ErrorType, Gfn, MemSlots, PageCounts, PageIn,
    PageOut, PageRange, PageSize, PageState, RangeError, SecureVm, SharePages, Unsupported, VmState, check_in_slots,
};

use super::{FlakyVcpu, Schedule};

/// A VM whose calls sometimes stop early for a reason that passes. What asks without changing anything is let through.
pub struct FlakyVm<V> {
    inner: V,
    schedule: Schedule,
}

impl<V> core::fmt::Debug for FlakyVm<V> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("FlakyVm").field("chance", &self.schedule.chance).finish_non_exhaustive()
    }
}

/// What a flaky VM or virtual CPU answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlakyError<E> {
    /// The schedule struck; nothing was done to this page, or at all.
    #[error("busy, as the schedule wants")]
    Struck,
    /// The answer from inside.
    #[error(transparent)]
    Inner(E),
}

impl<E: Error + 'static> Error for FlakyError<E> {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Struck => ErrorKind::Busy,
            Self::Inner(error) => error.kind(),
        }
    }
}

impl<E: From<Unsupported>> From<Unsupported> for FlakyError<E> {
    fn from(unsupported: Unsupported) -> Self {
        Self::Inner(unsupported.into())
    }
}

impl<V: SecureVm> FlakyVm<V> {
    /// Wraps a VM: each call stops with the chance of `chance` in 256, a range call in its middle.
    pub fn new(inner: V, seed: u64, chance: u8) -> Self {
        Self { inner, schedule: Schedule::new(seed, chance) }
    }

    /// The VM inside.
    pub const fn inner(&self) -> &V {
        &self.inner
    }

    fn unless_struck<T>(&self, act: impl FnOnce() -> Result<T, V::Error>) -> Result<T, FlakyError<V::Error>> {
        if self.schedule.strikes() { Err(FlakyError::Struck) } else { act().map_err(FlakyError::Inner) }
    }

    fn partly(
        &self,
        range: PageRange,
        act: impl Fn(PageRange) -> Result<(), RangeError<V::Error>>,
    ) -> Result<(), RangeError<FlakyError<V::Error>>> {
        let inner = |e: RangeError<V::Error>| RangeError { done: e.done, error: FlakyError::Inner(e.error) };
        // An argument that is wrong is refused before anything is done.
        if !self.schedule.strikes() || check_in_slots(&self.inner.mem_slots(), range).is_err() {
            return act(range).map_err(inner);
        }
        let done = range.count / 2;
        act(PageRange::new(range.first, done)).map_err(inner)?;
        Err(RangeError { done, error: FlakyError::Struck })
    }
}

impl<V: SecureVm> ErrorType for FlakyVm<V> {
    type Error = FlakyError<V::Error>;
}

impl<V: SecureVm> SecureVm for FlakyVm<V> {
    as_inside!();

    fn page_state(&self, gfn: Gfn) -> Result<PageState, Self::Error> {
        self.inner.page_state(gfn).map_err(FlakyError::Inner)
    }

    fn page_counts(&self) -> Result<PageCounts, Self::Error> {
        self.inner.page_counts().map_err(FlakyError::Inner)
    }

    fn terminate(&self) -> Result<(), Self::Error> {
        self.unless_struck(|| self.inner.terminate())
    }
}

impl<V: EnterSecureMode> EnterSecureMode for FlakyVm<V> {
    type Cpu = FlakyVcpu<V::Cpu>;
    type Entry = V::Entry;

    fn enter_secure_mode(&self, cpu: &mut Self::Cpu) -> Result<V::Entry, Self::Error> {
        self.unless_struck(|| self.inner.enter_secure_mode(&mut cpu.inner))
    }
}

impl<V: PageIn> PageIn for FlakyVm<V> {
    fn page_in_range(&self, range: PageRange) -> Result<(), RangeError<Self::Error>> {
        self.partly(range, |part| self.inner.page_in_range(part))
    }
}

impl<V: SecureVm> PageOut for FlakyVm<V> {
    fn page_out_range(&self, range: PageRange) -> Result<(), RangeError<Self::Error>> {
        let inner = self.inner.as_page_out().ok_or_else(lacking)?;
        self.partly(range, |part| inner.page_out_range(part))
    }
}

impl<V: SecureVm> SharePages for FlakyVm<V> {
    fn is_shared(&self, gfn: Gfn) -> Result<bool, Self::Error> {
        self.inner.as_share_pages().ok_or(Unsupported)?.is_shared(gfn).map_err(FlakyError::Inner)
    }

    fn withdraw(&self, gfn: Gfn) -> Result<(), Self::Error> {
        let inner = self.inner.as_share_pages().ok_or(Unsupported)?;
        self.unless_struck(|| inner.withdraw(gfn))
    }
}

impl<V: SecureVm> AcceptSharing for FlakyVm<V> {
    fn accept_sharing(&self, pages: PageRange, share: bool) -> Result<(), RangeError<Self::Error>> {
        let inner = self.inner.as_accept_sharing().ok_or_else(lacking)?;
        self.partly(pages, |part| inner.accept_sharing(part, share))
    }
}

impl<V: SecureVm> DestroyPages for FlakyVm<V> {
    fn destroy_range(&self, range: PageRange) -> Result<(), RangeError<Self::Error>> {
        let inner = self.inner.as_destroy_pages().ok_or_else(lacking)?;
        self.partly(range, |part| inner.destroy_range(part))
    }
}

/// The refusal of a call that the VM inside does not have.
pub(in crate::wrap) fn lacking<E: From<Unsupported>>() -> RangeError<E> {
    RangeError { done: 0, error: Unsupported.into() }
}
