//! Accesses that take their time.

use core::ops::Range;
use core::sync::atomic::{AtomicU8, Ordering};

use spin::Mutex;
use uv_core::{AccessError, HostAddr, NormalMemory};

const OPEN: u8 = 0;
const ARMED: u8 = 1;
const STALLING: u8 = 2;

/// Normal memory in which one access stands still: the first one to an area after [`Stalled::arm`], until [`Stalled::open`]. The
/// thread that makes it spins. Shows what others get while an access of a guest, or a move of a page, is at work.
pub struct Stalled<M> {
    inner: M,
    area: Mutex<Range<HostAddr>>,
    state: AtomicU8,
}

impl<M> core::fmt::Debug for Stalled<M> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Stalled").field("stalling", &self.is_stalling()).finish_non_exhaustive()
    }
}

impl<M> Stalled<M> {
    /// Wraps memory. Every access passes until [`Stalled::arm`].
    pub const fn new(inner: M) -> Self {
        Self { inner, area: Mutex::new(HostAddr(0)..HostAddr(0)), state: AtomicU8::new(OPEN) }
    }

    /// The next access that begins in `area` stands still.
    pub fn arm(&self, area: Range<HostAddr>) {
        *self.area.lock() = area;
        self.state.store(ARMED, Ordering::SeqCst);
    }

    /// Whether an access stands still now.
    pub fn is_stalling(&self) -> bool {
        self.state.load(Ordering::SeqCst) == STALLING
    }

    /// Lets the access go on, and all others pass.
    pub fn open(&self) {
        self.state.store(OPEN, Ordering::SeqCst);
    }

    fn pass(&self, at: HostAddr) {
        let stalls = self.area.lock().contains(&at)
            && self.state.compare_exchange(ARMED, STALLING, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        while stalls && self.is_stalling() {
            core::hint::spin_loop();
        }
    }
}

impl<M: NormalMemory> NormalMemory for Stalled<M> {
    fn read(&self, at: HostAddr, into: &mut [u8]) -> Result<(), AccessError> {
        self.pass(at);
        self.inner.read(at, into)
    }

    fn write(&self, at: HostAddr, from: &[u8]) -> Result<(), AccessError> {
        self.pass(at);
        self.inner.write(at, from)
    }

    fn check(&self, at: HostAddr, len: u64) -> Result<(), AccessError> {
        self.inner.check(at, len)
    }
}
