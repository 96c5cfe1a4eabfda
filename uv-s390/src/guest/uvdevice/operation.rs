//! One ioctl at work.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use uv_core::GuestAddr;
use zeroize::Zeroizing;

use super::ioctl::Ioctl;
use crate::abi::Errno;
use crate::abi::uvc::{Block, Cc, ProgramInterruption, UvCall, UvRc, UvRrc};

/// What the guest's kernel is to do next.
#[derive(Clone, PartialEq, Eq)]
pub enum Step {
    /// Store bytes into its own memory.
    Store {
        /// Guest address.
        at: GuestAddr,
        /// The bytes.
        bytes: Zeroizing<Vec<u8>>,
    },
    /// Issue a UV call with this control block.
    Call(Vec<u8>),
    /// Load bytes from its own memory.
    Load {
        /// Guest address.
        at: GuestAddr,
        /// How many.
        len: usize,
    },
    /// The ioctl is done.
    Done(Result<Ioctl, Errno>),
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store { at, bytes } => write!(f, "Store({at}, {} bytes)", bytes.len()),
            Self::Call(block) => write!(f, "Call({} bytes)", block.len()),
            Self::Load { at, len } => write!(f, "Load({at}, {len} bytes)"),
            Self::Done(result) => f.debug_tuple("Done").field(result).finish(),
        }
    }
}

/// What came of the last step.
#[derive(Clone, PartialEq, Eq)]
pub enum Seen {
    /// Nothing was done yet, or a store is done.
    Nothing,
    /// The call ended so, with this control block.
    Called(Cc, Vec<u8>),
    /// The loaded bytes.
    Loaded(Zeroizing<Vec<u8>>),
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("Nothing"),
            Self::Called(cc, block) => write!(f, "Called({cc:?}, {} bytes)", block.len()),
            Self::Loaded(bytes) => write!(f, "Loaded({} bytes)", bytes.len()),
        }
    }
}

/// One round of an ioctl: what is stored, called and loaded.
pub(super) struct Round {
    pub(super) stores: VecDeque<(GuestAddr, Zeroizing<Vec<u8>>)>,
    pub(super) block: Vec<u8>,
    pub(super) loads: VecDeque<(GuestAddr, usize)>,
}

impl Round {
    /// A round with one store at most.
    pub(super) fn new<T: Block>(
        store: Option<(GuestAddr, &[u8])>,
        block: &T,
        loads: impl IntoIterator<Item = (GuestAddr, usize)>,
    ) -> Self {
        let stores = store.map(|(at, bytes)| (at, Zeroizing::new(bytes.to_vec()))).into_iter().collect();
        Self { stores, block: block.as_bytes().to_vec(), loads: loads.into_iter().collect() }
    }
}

/// What a round ended with.
pub(super) struct Outcome {
    pub(super) rc: UvRc,
    pub(super) rrc: UvRrc,
    /// The control block as the call left it.
    pub(super) block: Vec<u8>,
    /// What was loaded, in the order asked for.
    pub(super) loaded: Vec<Zeroizing<Vec<u8>>>,
}

/// What an ioctl makes of a round: another one, or the end.
pub(super) enum Next {
    Round(Round),
    Done(Result<Ioctl, Errno>),
}

type Finish = Box<dyn FnMut(Outcome) -> Next + Send>;

/// One ioctl at work: from [`UvDevice::ioctl`](super::UvDevice::ioctl) to [`Step::Done`].
pub struct Operation {
    state: State,
}

enum State {
    /// In a round; the block as it was, for a call that has to be made again, and what was loaded.
    Round {
        round: Round,
        called: Option<(UvRc, UvRrc, Vec<u8>)>,
        loaded: Vec<Zeroizing<Vec<u8>>>,
        finish: Finish,
    },
    Done(Result<Ioctl, Errno>),
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation").field("done", &matches!(self.state, State::Done(_))).finish_non_exhaustive()
    }
}

impl Operation {
    pub(super) fn done(result: Result<Ioctl, Errno>) -> Self {
        Self { state: State::Done(result) }
    }

    pub(super) fn new(round: Round, finish: impl FnMut(Outcome) -> Next + Send + 'static) -> Self {
        let finish: Finish = Box::new(finish);
        Self { state: State::Round { round, called: None, loaded: Vec::new(), finish } }
    }

    /// The next step, given what came of the last one ([`Seen::Nothing`] at first). A call that is busy or partially done is
    /// issued again with the unchanged block. After [`Step::Done`] the same is given again.
    pub fn next(&mut self, seen: Seen) -> Step {
        let State::Round { round, called, loaded, finish } = &mut self.state else {
            return self.end();
        };
        match seen {
            Seen::Nothing => {}
            Seen::Called(Cc::Busy | Cc::Partial, _) => return Step::Call(round.block.clone()),
            Seen::Called(_, block) => {
                let code = |at: usize| block.get(at..at + 2).map_or(0, |b| u16::from_be_bytes([b[0], b[1]]));
                *called = Some((UvRc(code(4)), UvRrc(code(6)), block));
            }
            Seen::Loaded(bytes) => loaded.push(bytes),
        }
        if let Some((at, bytes)) = round.stores.pop_front() {
            return Step::Store { at, bytes };
        }
        let Some((rc, rrc, block)) = called else { return Step::Call(round.block.clone()) };
        if let Some((at, len)) = round.loads.pop_front() {
            return Step::Load { at, len };
        }
        let loaded = core::mem::take(loaded);
        match finish(Outcome { rc: *rc, rrc: *rrc, block: core::mem::take(block), loaded }) {
            Next::Round(next) => {
                (*round, *called) = (next, None);
                self.next(Seen::Nothing)
            }
            Next::Done(result) => {
                self.state = State::Done(result);
                self.end()
            }
        }
    }

    fn end(&self) -> Step {
        match &self.state {
            State::Done(result) => Step::Done(result.clone()),
            State::Round { .. } => Step::Done(Err(Errno::EAGAIN)),
        }
    }

    /// Carries the ioctl out on a guest's kernel.
    ///
    /// # Errors
    /// The errno; [`Errno::EFAULT`] when the kernel's own memory fails, or a UV call ends with a program interruption.
    pub fn run(mut self, kernel: &dyn GuestKernel) -> Result<Ioctl, Errno> {
        let mut seen = Seen::Nothing;
        loop {
            seen = match self.next(seen) {
                Step::Store { at, bytes } => {
                    kernel.store(at, &bytes).map_err(|_| Errno::EFAULT)?;
                    Seen::Nothing
                }
                Step::Call(mut block) => {
                    let cc = kernel.uv_call(&mut block).map_err(|_| Errno::EFAULT)?;
                    Seen::Called(cc, block)
                }
                Step::Load { at, len } => {
                    let mut bytes = Zeroizing::new(vec![0; len]);
                    kernel.load(at, &mut bytes).map_err(|_| Errno::EFAULT)?;
                    Seen::Loaded(bytes)
                }
                Step::Done(result) => return result,
            };
        }
    }
}

/// What the driver runs on inside a guest: the UV call in guest role, and the guest's own memory.
pub trait GuestKernel: UvCall {
    /// Loads from guest memory.
    ///
    /// # Errors
    /// The program interruption of the access.
    fn load(&self, at: GuestAddr, into: &mut [u8]) -> Result<(), ProgramInterruption>;

    /// Stores to guest memory.
    ///
    /// # Errors
    /// The program interruption of the access.
    fn store(&self, at: GuestAddr, from: &[u8]) -> Result<(), ProgramInterruption>;
}
