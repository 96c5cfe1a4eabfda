//! What a guest does.

use alloc::{collections::VecDeque, sync::Arc, vec::Vec};
use core::fmt;

use spin::Mutex;
use uv_core::GuestAddr;
use zeroize::Zeroizing;

/// One thing a guest does.
#[derive(Clone, PartialEq, Eq)]
pub enum Step<C> {
    /// Reads `len` bytes.
    Load {
        /// Guest address of the first byte.
        at: GuestAddr,
        /// Bytes to read.
        len: usize,
    },
    /// Writes bytes.
    Store {
        /// Guest address of the first byte.
        at: GuestAddr,
        /// What to write.
        bytes: Zeroizing<Vec<u8>>,
    },
    /// Fetches an instruction: an access like a load of two bytes, told apart where the machine does.
    Fetch {
        /// Guest address.
        at: GuestAddr,
    },
    /// Issues an instruction that leaves the guest.
    Call(C),
    /// Stops for good.
    Halt,
}

impl<C> Step<C> {
    /// A load.
    #[must_use]
    pub const fn load(at: GuestAddr, len: usize) -> Self {
        Self::Load { at, len }
    }

    /// A store.
    #[must_use]
    pub fn store(at: GuestAddr, bytes: &[u8]) -> Self {
        Self::Store { at, bytes: Zeroizing::new(bytes.to_vec()) }
    }
}

impl<C: fmt::Debug> fmt::Debug for Step<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load { at, len } => write!(f, "Load({at}, {len} bytes)"),
            Self::Store { at, bytes } => write!(f, "Store({at}, {} bytes)", bytes.len()),
            Self::Fetch { at } => write!(f, "Fetch({at})"),
            Self::Call(call) => write!(f, "Call({call:?})"),
            Self::Halt => f.write_str("Halt"),
        }
    }
}

/// What came of the last step.
#[derive(Clone, PartialEq, Eq)]
pub enum Outcome<R> {
    /// Nothing was done yet.
    Started,
    /// The bytes of a load.
    Loaded(Zeroizing<Vec<u8>>),
    /// A store is done.
    Stored,
    /// A fetch is done.
    Fetched,
    /// What an instruction that left the guest gave back.
    Returned(R),
}

impl<R: fmt::Debug> fmt::Debug for Outcome<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => f.write_str("Started"),
            Self::Loaded(bytes) => write!(f, "Loaded({} bytes)", bytes.len()),
            Self::Stored => f.write_str("Stored"),
            Self::Fetched => f.write_str("Fetched"),
            Self::Returned(result) => write!(f, "Returned({result:?})"),
        }
    }
}

/// A guest's program: from what came of the last step to the next one.
pub trait Program<C, R>: Send {
    /// The next step. After [`Step::Halt`] nothing is asked any more.
    fn next(&mut self, last: Outcome<R>) -> Step<C>;
}

impl<C, R, F: FnMut(Outcome<R>) -> Step<C> + Send> Program<C, R> for F {
    fn next(&mut self, last: Outcome<R>) -> Step<C> {
        self(last)
    }
}

/// What a script saw, one entry for each step done. Stands for the guest's own screen: it belongs to whoever wrote
/// the script, never to the hypervisor.
pub type Transcript<R> = Arc<Mutex<Vec<Outcome<R>>>>;

/// A fixed list of steps, then halt.
pub struct Script<C, R> {
    steps: VecDeque<Step<C>>,
    seen: Transcript<R>,
}

impl<C: fmt::Debug, R> fmt::Debug for Script<C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("steps", &self.steps).finish_non_exhaustive()
    }
}

impl<C, R> Script<C, R> {
    /// A script and what it will have seen.
    pub fn new(steps: impl IntoIterator<Item = Step<C>>) -> (Self, Transcript<R>) {
        let seen = Transcript::default();
        (Self { steps: steps.into_iter().collect(), seen: Arc::clone(&seen) }, seen)
    }
}

impl<C: Send, R: Send> Program<C, R> for Script<C, R> {
    fn next(&mut self, last: Outcome<R>) -> Step<C> {
        if !matches!(last, Outcome::Started) {
            self.seen.lock().push(last);
        }
        self.steps.pop_front().unwrap_or(Step::Halt)
    }
}
