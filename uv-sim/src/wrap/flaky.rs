//! Refusals on a schedule.

use rand_core::Rng;
use spin::Mutex;
use uv_core::{
    AccessError, Error, ErrorKind, ErrorType, Gfn, HostAddr, NormalMemory, PageIn, PageOut, PageRange, PageSize,
    PageState, RangeError, SecureVm, SharePages, VmState,
};

use crate::rng::SimRng;

/// Decides which calls are refused: each with the chance of `chance` in 256.
struct Schedule {
    rng: Mutex<SimRng>,
    chance: u8,
}

impl Schedule {
    fn new(seed: u64, chance: u8) -> Self {
        Self { rng: Mutex::new(SimRng::from_seed(seed).fork("flaky")), chance }
    }

    fn strikes(&self) -> bool {
        let [byte, ..] = self.rng.lock().next_u32().to_le_bytes();
        byte < self.chance
    }
}

/// Normal memory that is sometimes not there, as when the hypervisor unmaps a page under a running call.
pub struct Flaky<M> {
    inner: M,
    schedule: Schedule,
}

impl<M> core::fmt::Debug for Flaky<M> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Flaky").field("chance", &self.schedule.chance).finish_non_exhaustive()
    }
}

impl<M> Flaky<M> {
    /// Wraps memory: each access fails with the chance of `chance` in 256.
    pub fn new(inner: M, seed: u64, chance: u8) -> Self {
        Self { inner, schedule: Schedule::new(seed, chance) }
    }

    fn unless_struck(&self, at: HostAddr, len: usize) -> Result<(), AccessError> {
        if self.schedule.strikes() { Err(AccessError::Unmapped { at, len }) } else { Ok(()) }
    }
}

impl<M: NormalMemory> NormalMemory for Flaky<M> {
    fn read(&self, at: HostAddr, into: &mut [u8]) -> Result<(), AccessError> {
        self.unless_struck(at, into.len())?;
        self.inner.read(at, into)
    }

    fn write(&self, at: HostAddr, from: &[u8]) -> Result<(), AccessError> {
        self.unless_struck(at, from.len())?;
        self.inner.write(at, from)
    }

    fn check(&self, at: HostAddr, len: u64) -> Result<(), AccessError> {
        self.unless_struck(at, usize::try_from(len).unwrap_or(usize::MAX))?;
        self.inner.check(at, len)
    }
}

/// A VM whose page calls sometimes stop early for a reason that passes.
pub struct FlakyVm<V> {
    inner: V,
    schedule: Schedule,
}

impl<V> core::fmt::Debug for FlakyVm<V> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("FlakyVm").field("chance", &self.schedule.chance).finish_non_exhaustive()
    }
}

/// What a [`FlakyVm`] answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlakyError<E> {
    /// The schedule struck; nothing was done to this page.
    #[error("busy, as the schedule wants")]
    Struck,
    /// The VM's own answer.
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

impl<V: SecureVm> FlakyVm<V> {
    /// Wraps a VM: each page call stops with the chance of `chance` in 256, a range call in its middle.
    pub fn new(inner: V, seed: u64, chance: u8) -> Self {
        Self { inner, schedule: Schedule::new(seed, chance) }
    }

    /// The VM inside.
    pub const fn inner(&self) -> &V {
        &self.inner
    }

    fn partly(
        &self,
        range: PageRange,
        act: impl Fn(PageRange) -> Result<(), RangeError<V::Error>>,
    ) -> Result<(), RangeError<FlakyError<V::Error>>> {
        let inner = |e: RangeError<V::Error>| RangeError { done: e.done, error: FlakyError::Inner(e.error) };
        if !self.schedule.strikes() {
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
    fn page_size(&self) -> PageSize {
        self.inner.page_size()
    }

    fn vm_state(&self) -> VmState {
        self.inner.vm_state()
    }

    fn page_state(&self, gfn: Gfn) -> Result<PageState, Self::Error> {
        self.inner.page_state(gfn).map_err(FlakyError::Inner)
    }

    fn terminate(&self) -> Result<(), Self::Error> {
        self.inner.terminate().map_err(FlakyError::Inner)
    }
}

impl<V: PageIn> PageIn for FlakyVm<V> {
    fn page_in_range(&self, range: PageRange) -> Result<(), RangeError<Self::Error>> {
        self.partly(range, |part| self.inner.page_in_range(part))
    }
}

impl<V: PageOut> PageOut for FlakyVm<V> {
    fn page_out_range(&self, range: PageRange) -> Result<(), RangeError<Self::Error>> {
        self.partly(range, |part| self.inner.page_out_range(part))
    }
}

impl<V: SharePages> SharePages for FlakyVm<V> {
    fn is_shared(&self, gfn: Gfn) -> Result<bool, Self::Error> {
        self.inner.is_shared(gfn).map_err(FlakyError::Inner)
    }

    fn withdraw(&self, gfn: Gfn) -> Result<(), Self::Error> {
        self.inner.withdraw(gfn).map_err(FlakyError::Inner)
    }
}
